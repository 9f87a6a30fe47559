//! Samples values of each column, to detect columns that look personal.

use sqlx::{PgConnection, Row, SqlStr};

use super::super::{error::failed, rows::qualified};
use crate::{
    anonymize::Samples,
    error::Error,
    schema::{Attribute, ObjectKind, SchemaModel},
    sql::Sql,
    tenant::Ident,
};

/// The number of rows that are sampled per table: its first ones.
const ROWS: u64 = 200;

/// The most characters of a value.
const CHARACTERS: u64 = 2_000;

pub(super) async fn read(
    conn: &mut PgConnection,
    schema: &Ident,
    model: &SchemaModel,
) -> Result<Samples, Error> {
    let mut samples = Samples::default();
    for (table, _) in model.of_kind(ObjectKind::Table) {
        let columns = model.columns(&table.name).into_iter();
        let columns = columns
            .filter(|(_, column)| may_hold_text(column.text(Attribute::Type).unwrap_or_default()));
        let columns: Vec<_> = columns.map(|(column, _)| &*column.name).collect();
        if columns.is_empty() {
            continue;
        }
        let sql = sample_sql(schema, &table.name, &columns);
        let rows = sqlx::raw_sql(sql).fetch_all(&mut *conn).await;
        let rows = rows.map_err(|e| failed(format!("sampling the table {}", table.name), e))?;
        for row in &rows {
            for (place, column) in columns.iter().enumerate() {
                if let Some(value) = row.try_get::<Option<String>, _>(place)? {
                    samples.add(&*table.name, *column, value);
                }
            }
        }
    }
    Ok(samples)
}

fn sample_sql(schema: &Ident, table: &str, columns: &[&str]) -> SqlStr {
    let mut sql = Sql::new("select ");
    for (index, column) in columns.iter().enumerate() {
        sql.text(if index == 0 { "" } else { ", " }).text("pg_catalog.left(s.");
        sql.name(column).text("::pg_catalog.text, ").number(CHARACTERS).text(")");
    }
    sql.text(" from ");
    qualified(&mut sql, schema, table);
    sql.text(" as s limit ").number(ROWS);
    sql.finish()
}

/// Returns `false` for types whose values cannot look personal.
fn may_hold_text(printed: &str) -> bool {
    let nothing = [
        "boolean",
        "date",
        "timestamp",
        "time",
        "interval",
        "uuid",
        "real",
        "double precision",
        "money",
    ];
    !nothing.iter().any(|start| printed.starts_with(start))
}
