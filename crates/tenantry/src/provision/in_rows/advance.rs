//! Lets sequences continue after ids that came with restored rows.

use sqlx::{PgConnection, Row};

use super::{collected::Collected, tables::Table};
use crate::{
    clone::{Feeding, feeding},
    error::{Error, ErrorKind},
    sql::Sql,
};

/// Moves the sequences of tables past the ids that were inserted.
///
/// # Errors
///
/// [`RowsFile`](ErrorKind::RowsFile) if an id would use up the values of a sequence, which all tenants draw from.
pub(super) async fn advance(
    conn: &mut PgConnection,
    tables: &[(&Table, Collected<'_>)],
) -> Result<(), Error> {
    let oids: Vec<_> = tables.iter().map(|(table, _)| table.oid).collect();
    let mut drawn = Vec::new();
    for sequence in feeding(conn, &oids).await? {
        let of = tables.iter().find(|(table, _)| table.oid == sequence.table);
        let Some((table, collected)) = of else { continue };
        if collected.copies.columns.contains(&sequence.column.as_str()) {
            drawn.push((sequence, table, collected));
        }
    }
    if drawn.is_empty() {
        return Ok(());
    }
    let mut sql = Sql::default();
    for (place, (sequence, _, collected)) in drawn.iter().enumerate() {
        sql.text(if place == 0 { "select " } else { " union all select " });
        sql.number(place as u64).text("::pg_catalog.int8, ").text(sequence.latest()).text("x.");
        collected.name(sql.name(&sequence.column).text(")::pg_catalog.int8 from ")).text(" x");
    }
    for row in sqlx::raw_sql(sql.finish()).fetch_all(&mut *conn).await? {
        let place = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or(usize::MAX);
        let (Some((sequence, table, _)), Some(latest)) = (drawn.get(place), row.try_get(1)?) else {
            continue;
        };
        if sequence.would_run_short(latest) {
            return Err(used_up(table, sequence, latest));
        }
        sequence.advance(conn, latest).await?;
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
