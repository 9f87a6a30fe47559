//! The statements that copy the rows of a table.

use sqlx::SqlStr;

use super::plan::{Column, Table, Values};
use crate::{
    schema::read::Subject,
    sql::{Sql, printed_by_server},
    tenant::Ident,
};

/// Which schema rows come from, and which they go to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) from: &'a Subject,
    pub(super) to: &'a Subject,
}

/// The temporary table that lists the kept rows of a table and its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept(pub(super) u64);

impl Kept {
    pub(super) fn name(self, sql: &mut Sql) {
        sql.text("pg_temp.tenantry_kept_").number(self.0);
    }
}

/// Copies within a server.
pub(super) fn insert_sql(way: Way<'_>, table: &Table, kept: Option<Kept>) -> SqlStr {
    let mut sql = Sql::new("insert into ");
    qualified(&mut sql, &way.to.schema, &table.name);
    column_list(&mut sql, table);
    sql.text(" ");
    select(&mut sql, way, table, kept, true);
    sql.finish()
}

/// Appends a query of rows in which the names of objects are as in the copy.
pub(super) fn select_sql(sql: &mut Sql, way: Way<'_>, table: &Table) {
    select(sql, way, table, None, false);
}

/// Reads rows as text. Names of objects come out as those of the copy.
pub(super) fn copy_out_sql(way: Way<'_>, table: &Table, kept: Option<Kept>) -> SqlStr {
    let mut sql = Sql::new("copy (");
    select(&mut sql, way, table, kept, false);
    sql.text(") to stdout");
    sql.finish()
}

/// Writes rows that were read as text.
pub(super) fn copy_in_sql(way: Way<'_>, table: &Table) -> SqlStr {
    let mut sql = Sql::new("copy ");
    qualified(&mut sql, &way.to.schema, &table.name);
    column_list(&mut sql, table);
    sql.text(" from stdin");
    sql.finish()
}

/// Appends the name of an object with its schema.
pub(super) fn qualified(sql: &mut Sql, schema: &Ident, name: &str) {
    sql.ident(schema).text(".").name(name);
}

fn column_list(sql: &mut Sql, table: &Table) {
    for (index, column) in table.columns.iter().enumerate() {
        sql.text(if index == 0 { " (" } else { ", " }).name(&column.name);
    }
    sql.text(if table.columns.is_empty() { "" } else { ")" });
}

fn select(sql: &mut Sql, way: Way<'_>, table: &Table, kept: Option<Kept>, is_typed: bool) {
    sql.text("select ");
    for (index, column) in table.columns.iter().enumerate() {
        sql.text(if index == 0 { "" } else { ", " });
        value(sql, way, column, is_typed);
    }
    sql.text(" from only ");
    qualified(sql, &way.from.schema, &table.name);
    sql.text(" as s");
    if let Some(kept) = kept {
        sql.text(" where exists (select from ");
        kept.name(sql);
        sql.text(
            " as k where k.of operator(pg_catalog.=) s.tableoid and k.at operator(pg_catalog.=) s.ctid)",
        );
    }
}

/// Appends the value of a column. One that names an object of the source's schema names that of the copy's afterwards:
/// neither session has the source's schema in its path, so the name comes out with it.
fn value(sql: &mut Sql, way: Way<'_>, column: &Column, is_typed: bool) {
    let of_type = match &column.values {
        Values::OfOwnType(printed) if is_typed => {
            let printed = printed_by_server(printed.clone());
            sql.text("s.").name(&column.name).text("::pg_catalog.text::");
            sql.vouched(&printed, 0..printed.as_str().len());
            return;
        }
        Values::Same | Values::OfOwnType(_) => {
            sql.text("s.").name(&column.name);
            return;
        }
        Values::Names(of_type) => *of_type,
    };
    // What the server prints before the name, or instead of it.
    let prefix = |sql: &mut Sql, schema: &Ident| {
        sql.text("(pg_catalog.quote_ident(").literal(schema.as_str());
        sql.text(if of_type == "regnamespace" { "))" } else { ") operator(pg_catalog.||) '.')" });
    };
    let printed = |sql: &mut Sql| {
        sql.text("s.").name(&column.name).text("::pg_catalog.text");
    };
    sql.text("(case when ");
    if of_type == "regnamespace" {
        printed(sql);
        sql.text(" operator(pg_catalog.=) ");
        prefix(sql, &way.from.schema);
    } else {
        sql.text("pg_catalog.starts_with(");
        printed(sql);
        sql.text(", ");
        prefix(sql, &way.from.schema);
        sql.text(")");
    }
    sql.text(" then ");
    prefix(sql, &way.to.schema);
    sql.text(" operator(pg_catalog.||) pg_catalog.substr(");
    printed(sql);
    sql.text(", pg_catalog.length(");
    prefix(sql, &way.from.schema);
    sql.text(") operator(pg_catalog.+) 1) else ");
    printed(sql);
    sql.text(" end)");
    if is_typed {
        sql.text("::pg_catalog.").text(of_type);
    }
}
