//! Steps that put existing tables under policies without holding a lock for long.

use super::{
    RowStep, RowTable, fill,
    policy::set_default,
    protect::{self, alter, parent, with_tenant},
    table::{Fill, Reference},
};
use crate::{
    sql::Sql,
    tenant::{Ident, Rows},
};

/// Writes a step.
type Write = fn(&mut Sql, &Rows, &[RowTable]);

/// The steps after the first one, in order, with the lines at the top of their files.
const STEPS: [(&str, &str, Write); 7] = [
    (
        "tenant_check",
        "-- From here on, no row without a tenant can be added. Existing rows are not checked yet.\n",
        |sql, rows, tables| tables.iter().for_each(|table| add_check(sql, rows, table)),
    ),
    (
        "tenant_validate",
        "-- no-transaction\n-- Checks existing rows, while requests read and write.\n",
        |sql, rows, tables| tables.iter().for_each(|table| validate_check(sql, rows, table)),
    ),
    (
        "tenant_not_null",
        "-- tenantry: allow(not_null)\n\
         -- Does not scan the table: the constraint proves that no value is null.\n",
        |sql, rows, tables| tables.iter().for_each(|table| set_not_null(sql, rows, table)),
    ),
    (
        "tenant_indexes",
        "-- no-transaction\n-- Builds the indexes of the new keys, while requests read and write.\n",
        |sql, rows, tables| tables.iter().for_each(|table| build_indexes(sql, rows, table)),
    ),
    (
        "tenant_keys",
        "-- Puts the tenant column into the keys. Add what your foreign keys declare besides, such as on delete cascade.\n",
        swap_keys,
    ),
    (
        "tenant_references",
        "-- no-transaction\n-- Checks the new foreign keys, while requests read and write.\n",
        |sql, _, tables| tables.iter().for_each(|table| validate_references(sql, table)),
    ),
    (
        "row_security",
        "-- From here on, statements see the rows of one tenant only.\n",
        |sql, rows, tables| tables.iter().for_each(|table| protect::table(sql, rows, table)),
    ),
];

pub(super) fn steps(rows: &Rows, tables: &[RowTable]) -> Vec<RowStep> {
    let mut first = Sql::new("-- Adds the tenant column. Its default fills new rows.\n");
    tables.iter().for_each(|table| add_column(&mut first, rows, table));
    let first = RowStep { name: "tenant_column".to_owned(), sql: first.as_str().to_owned() };
    let fills = tables.iter().filter_map(|table| fill::step(rows, table));
    let others = STEPS.iter().filter_map(|(name, heading, write)| {
        let mut sql = Sql::new(heading);
        write(&mut sql, rows, tables);
        let sql = sql.as_str().to_owned();
        (sql != *heading).then(|| RowStep { name: (*name).to_owned(), sql })
    });
    std::iter::once(first).chain(fills).chain(others).collect()
}

/// The default is set separately, so that existing rows get none.
fn add_column(sql: &mut Sql, rows: &Rows, table: &RowTable) {
    if table.fill != Fill::Done {
        alter(sql, table).text(" add column if not exists ").ident(rows.key_column());
        sql.text(" ").text(rows.key_type().as_str()).text(";\n");
    }
    alter(sql, table).text(" ");
    set_default(sql, rows);
    sql.text(";\n");
}

fn add_check(sql: &mut Sql, rows: &Rows, table: &RowTable) {
    alter(sql, table).text(" add constraint ").ident(&check_name(rows, table));
    sql.text(" check (").ident(rows.key_column()).text(" is not null) not valid;\n");
}

fn validate_check(sql: &mut Sql, rows: &Rows, table: &RowTable) {
    alter(sql, table).text(" validate constraint ").ident(&check_name(rows, table)).text(";\n");
}

fn set_not_null(sql: &mut Sql, rows: &Rows, table: &RowTable) {
    alter(sql, table).text(" alter column ").ident(rows.key_column()).text(" set not null;\n");
    alter(sql, table).text(" drop constraint ").ident(&check_name(rows, table)).text(";\n");
}

fn check_name(rows: &Rows, table: &RowTable) -> Ident {
    table.part(std::slice::from_ref(rows.key_column()), "not_null")
}

fn build_indexes(sql: &mut Sql, rows: &Rows, table: &RowTable) {
    let keys = std::iter::once(&table.primary_key).chain(&table.unique);
    for key in keys {
        sql.text("create unique index concurrently ").ident(&table.part(key, "tenantry"));
        sql.text(" on ").ident(&table.name).text(" ");
        with_tenant(sql, rows, key).text(";\n");
    }
    for index in table.plain_indexes() {
        sql.text("create index concurrently ").ident(&table.part(index, "tenant_idx"));
        sql.text(" on ").ident(&table.name).text(" ");
        with_tenant(sql, rows, index).text(";\n");
    }
}

/// Foreign keys are dropped before the keys that they refer to, and added after them.
fn swap_keys(sql: &mut Sql, rows: &Rows, tables: &[RowTable]) {
    let references =
        || tables.iter().flat_map(|table| table.references.iter().map(move |r| (table, r)));
    for (table, reference) in references() {
        alter(sql, table)
            .text(" drop constraint ")
            .ident(&foreign_key(table, reference))
            .text(";\n");
    }
    for table in tables {
        swap_key(sql, table, &table.primary_key, &table.part(&[], "pkey"), " primary key");
        for unique in &table.unique {
            swap_key(sql, table, unique, &table.part(unique, "key"), " unique");
        }
    }
    for (table, reference) in references() {
        alter(sql, table).text(" add constraint ").ident(&foreign_key(table, reference));
        sql.text(" foreign key ");
        with_tenant(sql, rows, std::slice::from_ref(&reference.column));
        parent(sql, rows, &reference.parent).text(" not valid;\n");
    }
}

/// The index takes the name of the constraint.
fn swap_key(sql: &mut Sql, table: &RowTable, key: &[Ident], name: &Ident, kind: &'static str) {
    alter(sql, table)
        .text(" drop constraint ")
        .ident(name)
        .text(",\n  add constraint ")
        .ident(name);
    sql.text(kind).text(" using index ").ident(&table.part(key, "tenantry")).text(";\n");
}

fn foreign_key(table: &RowTable, reference: &Reference) -> Ident {
    table.part(std::slice::from_ref(&reference.column), "fkey")
}

fn validate_references(sql: &mut Sql, table: &RowTable) {
    for reference in &table.references {
        alter(sql, table).text(" validate constraint ");
        sql.ident(&foreign_key(table, reference)).text(";\n");
    }
}
