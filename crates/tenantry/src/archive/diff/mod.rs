//! Compares the rows of two tenants by their keys.
//!
//! ```text
//!  first    rows in the order of the key ─┐
//!                                         ├─▶ a row of each at a time ─▶ counts, and the first keys
//!  second   rows in the order of the key ─┘
//! ```

mod options;
mod report;
mod side;
mod walk;

use futures_util::future::try_join;
pub use options::DiffOptions;
pub use report::{Compared, DiffReport, RowDiff, RowFound, TableDiff};
pub(super) use side::{Read, Side, needs_connections};
use tokio::time::Instant;
pub(super) use walk::{Pair, Walk};

use super::Archiver;
use crate::{
    clone::{KeyedTable, Names, keyed_tables},
    error::Error,
    tenant::TenantId,
};

impl Archiver {
    pub(super) async fn diff_now(
        &self,
        ids: [&TenantId; 2],
        options: &DiffOptions,
    ) -> Result<DiffReport, Error> {
        let began = Instant::now();
        let [first, second] = ids;
        let (first_read, second_read) = try_join(
            Read::of(&self.fleet, first, options.copying()),
            Read::of(&self.fleet, second, options.copying()),
        )
        .await?;
        needs_connections(&first_read, &second_read, 1)?;
        let mut one = first_read.open(&second_read.subject).await?;
        let mut other = second_read.open(&second_read.subject).await?;
        let tables =
            keyed_tables((&one.plan, &first_read.model), (&other.plan, &second_read.model));
        options.check(&tables)?;
        let mut compared = Vec::new();
        for table in tables.both.iter().filter(|table| options.has(table.names())) {
            compared.push(compare(table, &mut one, &mut other, options).await?);
        }
        let named = |tables: Vec<Names>| {
            let chosen = tables.iter().filter(|names| options.has(names));
            chosen.map(|names| names.own().to_owned()).collect()
        };
        Ok(DiffReport {
            first: first.clone(),
            second: second.clone(),
            tables: compared,
            tables_only_in_first: named(tables.only_in_first),
            tables_only_in_second: named(tables.only_in_second),
            duration: began.elapsed(),
        })
    }
}

async fn compare(
    table: &KeyedTable,
    one: &mut Side<'_>,
    other: &mut Side<'_>,
    options: &DiffOptions,
) -> Result<TableDiff, Error> {
    if !table.key.is_empty() {
        return walk::by_key(table, one, other, options.keys).await;
    }
    let (one, other) = try_join(one.content(table), other.content(table)).await?;
    let mut diff = TableDiff::new(table, Compared::Content);
    (diff.first_rows, diff.second_rows) = (one.rows, other.rows);
    diff.is_content_different = one != other;
    Ok(diff)
}
