//! Protects a table that has the tenant column: policies, grants, the column's default.

use super::{
    RowTable,
    policy::{create_open_policy, create_tenant_policy, set_default},
};
use crate::{
    sql::Sql,
    tenant::{Ident, Rows},
};

/// Appends the policies and the grants.
pub(super) fn table(sql: &mut Sql, rows: &Rows, table: &RowTable) {
    let name = table.name.as_str();
    sql.text("\n");
    alter(sql, table).text(" enable row level security, force row level security;\n");
    create_open_policy(sql, None, name);
    sql.text(";\n");
    create_tenant_policy(sql, rows, None, name);
    sql.text(";\n");
    if let Some(role) = rows.sessions_role() {
        sql.text("grant select, insert, update, delete on ").name(name);
        sql.text(" to ").ident(role).text(";\n");
    }
}

/// Appends the default of the tenant column, and that it is never null.
pub(super) fn column(sql: &mut Sql, rows: &Rows, table: &RowTable) {
    alter(sql, table).text(" ");
    set_default(sql, rows);
    sql.text(", alter column ").ident(rows.key_column()).text(" set not null;\n");
}

/// Appends the unique keys and indexes, and the foreign keys.
pub(super) fn indexes(sql: &mut Sql, rows: &Rows, table: &RowTable) {
    for unique in &table.unique {
        alter(sql, table).text(" add unique ");
        with_tenant(sql, rows, unique).text(";\n");
    }
    for index in table.plain_indexes() {
        sql.text("create index on ").ident(&table.name).text(" ");
        with_tenant(sql, rows, index).text(";\n");
    }
    for reference in &table.references {
        alter(sql, table).text(" add foreign key ");
        with_tenant(sql, rows, std::slice::from_ref(&reference.column));
        parent(sql, rows, &reference.parent).text(";\n");
    }
}

/// Appends what a foreign key refers to.
pub(super) fn parent<'s>(sql: &'s mut Sql, rows: &Rows, parent: &Ident) -> &'s mut Sql {
    sql.text(" references ").ident(parent).text(" (").ident(rows.key_column()).text(", \"id\")")
}

/// Appends a list of columns that begins with the tenant column.
pub(super) fn with_tenant<'s>(sql: &'s mut Sql, rows: &Rows, columns: &[Ident]) -> &'s mut Sql {
    sql.text("(").ident(rows.key_column());
    for column in columns {
        sql.text(", ").ident(column);
    }
    sql.text(")")
}

pub(super) fn alter<'s>(sql: &'s mut Sql, table: &RowTable) -> &'s mut Sql {
    sql.text("alter table ").ident(&table.name)
}
