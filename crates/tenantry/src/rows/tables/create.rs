//! A draft of a table with the tenant column in every key.

use super::{
    RowTable,
    policy::key_of_session,
    protect::{parent, with_tenant},
};
use crate::{
    sql::Sql,
    tenant::{Ident, Rows},
};

/// Appends `create table`, and `create index` for its indexes.
pub(super) fn table(sql: &mut Sql, rows: &Rows, table: &RowTable) {
    sql.text("\ncreate table ").ident(&table.name).text(" (\n  ");
    sql.ident(rows.key_column()).text(" ").text(rows.key_type().as_str());
    sql.text(" not null default ");
    key_of_session(sql, rows);
    columns(sql, table);
    constraints(sql, rows, table);
    sql.text("\n);\n");
    for index in table.plain_indexes() {
        sql.text("create index on ").ident(&table.name).text(" ");
        with_tenant(sql, rows, index).text(";\n");
    }
}

/// Appends every column that a key or an index names, each once.
fn columns(sql: &mut Sql, table: &RowTable) {
    let mut seen: Vec<&Ident> = Vec::new();
    let mut add = |column, definition: &'static str| {
        if !seen.contains(&column) {
            seen.push(column);
            sql.text(",\n  ").ident(column).text(definition);
        }
    };
    for reference in &table.references {
        add(&reference.column, " uuid not null");
    }
    for column in &table.primary_key {
        add(column, " uuid not null default gen_random_uuid()");
    }
    for column in table.unique.iter().chain(&table.indexes).flatten() {
        add(column, " text not null");
    }
}

fn constraints(sql: &mut Sql, rows: &Rows, table: &RowTable) {
    sql.text(",\n  primary key ");
    with_tenant(sql, rows, &table.primary_key);
    for unique in &table.unique {
        sql.text(",\n  unique ");
        with_tenant(sql, rows, unique);
    }
    for reference in &table.references {
        sql.text(",\n  foreign key ");
        with_tenant(sql, rows, std::slice::from_ref(&reference.column));
        parent(sql, rows, &reference.parent);
    }
}
