//! Lets sequences continue after ids that came with restored rows.

use sqlx::{PgConnection, Row};

use super::{collected::Collected, tables::Table};
use crate::{
    clone::{Feeding, feeding},
    error::{Error, ErrorKind},
    sql::Sql,
};

/// Moves the sequences of a table past the ids that were inserted.
///
/// # Errors
///
/// [`RowsFile`](ErrorKind::RowsFile) if an id would use up the values of a sequence, which all tenants draw from.
pub(super) async fn advance(
    conn: &mut PgConnection,
    table: &Table,
    collected: &Collected<'_>,
) -> Result<(), Error> {
    for sequence in feeding(conn, table.oid).await? {
        if !collected.copies.columns.contains(&sequence.column.as_str()) {
            continue;
        }
        let mut sql = Sql::new("select pg_catalog.max(x.");
        sql.name(&sequence.column).text(")::pg_catalog.int8 from ");
        collected.name(&mut sql).text(" x");
        let greatest: Option<i64> =
            sqlx::raw_sql(sql.finish()).fetch_one(&mut *conn).await?.try_get(0)?;
        let Some(greatest) = greatest else { continue };
        if sequence.would_run_short(greatest) {
            return Err(used_up(table, &sequence, greatest));
        }
        sequence.advance(conn, greatest).await?;
    }
    Ok(())
}

fn used_up(table: &Table, sequence: &Feeding, value: i64) -> Error {
    let attempted = format!(
        "table {} has {value} as its {}, which would leave the sequence {} with less than a tenth of its values for \
         all tenants",
        table.name, sequence.column, sequence.name
    );
    Error::new(ErrorKind::RowsFile, attempted)
}
