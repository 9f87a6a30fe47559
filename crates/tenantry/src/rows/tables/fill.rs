//! Fills the tenant column of the rows of an existing table.

use super::{
    RowStep, RowTable,
    table::{Fill, Reference},
};
use crate::{sql::Sql, tenant::Rows};

/// The number of rows that are filled in one transaction.
const BATCH: u64 = 5_000;

/// Returns the step for a table, unless the column is filled.
pub(super) fn step(rows: &Rows, table: &RowTable) -> Option<RowStep> {
    let mut value = Sql::default();
    match (&table.fill, table.references.first()) {
        (Fill::Done, _) | (Fill::Parent, None) => return None,
        (Fill::Key(key), _) => {
            value.literal(key).text("::").text(rows.key_type().as_str());
        }
        (Fill::Parent, Some(reference)) => key_of_parent(&mut value, rows, table, reference),
    }
    let mut sql = Sql::new(
        "-- no-transaction\n\
         -- Fills the tenant column, a batch in each transaction. It can be run again: if it was interrupted,\n\
         -- clear the failure (`tenantry migrate forget --dirty`), and run the migrations.\ndo ",
    );
    sql.body(&block(rows, table, &value)).text(";\n");
    let name = format!("tenant_fill_{}", words_of(table.name.as_str()));
    Some(RowStep { name, sql: sql.as_str().to_owned() })
}

fn key_of_parent(sql: &mut Sql, rows: &Rows, table: &RowTable, reference: &Reference) {
    // The alias must not be the name of the table, which may be `parent`.
    sql.text("(select tenantry_parent.").ident(rows.key_column());
    sql.text(" from ").ident(&reference.parent);
    sql.text(" as tenantry_parent where tenantry_parent.\"id\" = ").ident(&table.name).text(".");
    sql.ident(&reference.column).text(")");
}

/// Returns a block that fills batch after batch, in the order of the primary key. Each begins where
/// the one before ended, so the table is read once.
fn block(rows: &Rows, table: &RowTable, value: &Sql) -> Sql {
    let (name, column) = (&table.name, rows.key_column());
    let mut key = Sql::default();
    key.idents(&table.primary_key);
    let first = variables(table);
    let mut body = Sql::new("\ndeclare\n");
    for (place, column) in (1..).zip(&table.primary_key) {
        body.text("  first_").number(place).text(" ").ident(name).text(".").ident(column);
        body.text("%type;\n");
    }
    body.text("begin\n  select ").sql(&key).text(" into ").sql(&first).text(" from ").ident(name);
    body.text(" order by ")
        .sql(&key)
        .text(" limit 1;\n  while found loop\n    update ")
        .ident(name);
    body.text(" set ").ident(column).text(" = ").sql(value).text("\n    where ").ident(column);
    body.text(" is null and (").sql(&key).text(") in (\n      select ").sql(&key).text(" from ");
    body.ident(name)
        .text(" where (")
        .sql(&key)
        .text(") >= (")
        .sql(&first)
        .text(")\n      order by ");
    body.sql(&key).text(" limit ").number(BATCH).text(");\n    commit;\n    select ").sql(&key);
    body.text(" into ").sql(&first).text(" from ").ident(name).text("\n    where (").sql(&key);
    body.text(") >= (").sql(&first).text(") order by ").sql(&key).text(" offset ").number(BATCH);
    body.text(" limit 1;\n  end loop;\nend\n");
    body
}

/// Returns the variables that hold the key of the first row of a batch.
fn variables(table: &RowTable) -> Sql {
    let mut sql = Sql::default();
    for (place, _) in (1..).zip(&table.primary_key) {
        sql.text(if place == 1 { "first_" } else { ", first_" }).number(place);
    }
    sql
}

/// Returns a name in the form that files have.
fn words_of(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("_")
}
