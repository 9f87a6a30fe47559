//! The statements that copy the rows of a table.

use sqlx::SqlStr;

use super::plan::{Column, Read, Table, Values};
use crate::{
    schema::{fill, read::Subject},
    sql::{Sql, printed_by_server},
    tenant::Ident,
};

/// The source and the target schema of rows.
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

/// Appends a query of rows in which the names of objects are those of the copy.
pub(super) fn select_sql(sql: &mut Sql, way: Way<'_>, table: &Table) {
    select(sql, way, table, None, false);
}

/// Appends the same query, with the place of each row after its values.
pub(super) fn select_placed_sql(sql: &mut Sql, way: Way<'_>, table: &Table) {
    values(sql, way, table, false);
    sql.text(", s.ctid");
    from(sql, way, table);
}

/// Reads rows as text. Names of objects are those of the copy.
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

/// Creates a temporary table for rows whose names of objects are those of the source.
pub(super) fn receive_sql(to: &Subject, table: &Table) -> SqlStr {
    let mut sql =
        Sql::new("create temporary table pg_temp.tenantry_received on commit drop as select ");
    for (index, column) in table.columns.iter().enumerate() {
        sql.text(if index == 0 { "s." } else { ", s." }).name(&column.name);
        if matches!(column.values, Values::Names(_)) {
            sql.text("::pg_catalog.text as ").name(&column.name);
        }
    }
    sql.text(" from only ");
    qualified(&mut sql, &to.schema, &table.name);
    sql.text(" as s with no data");
    sql.finish()
}

/// Writes rows that were read as text to that table.
pub(super) fn received_copy_sql(table: &Table) -> SqlStr {
    let mut sql = Sql::new("copy pg_temp.tenantry_received");
    column_list(&mut sql, table);
    sql.text(" from stdin");
    sql.finish()
}

/// Copies the rows from there.
pub(super) fn received_sql(way: Way<'_>, table: &Table) -> SqlStr {
    let mut sql = Sql::default();
    received(&mut sql, way, table);
    sql.finish()
}

/// Appends an insert of the rows from there. The table to which they go is called `t`.
pub(super) fn received(sql: &mut Sql, way: Way<'_>, table: &Table) {
    sql.text("insert into ");
    qualified(sql, &way.to.schema, &table.name);
    sql.text(" as t");
    column_list(sql, table);
    sql.text(" overriding system value select ");
    for (index, column) in table.columns.iter().enumerate() {
        sql.text(if index == 0 { "" } else { ", " });
        value(sql, way, column, true);
    }
    sql.text(" from pg_temp.tenantry_received as s");
}

/// Drops it.
pub(super) const RECEIVED: &str = "drop table pg_temp.tenantry_received";

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
    values(sql, way, table, is_typed);
    from(sql, way, table);
    if let Some(kept) = kept {
        sql.text(" where exists (select from ");
        kept.name(sql);
        sql.text(
            " as k where k.of operator(pg_catalog.=) s.tableoid and k.at operator(pg_catalog.=) s.ctid)",
        );
    }
}

fn values(sql: &mut Sql, way: Way<'_>, table: &Table, is_typed: bool) {
    sql.text("select ");
    for (index, column) in table.columns.iter().enumerate() {
        sql.text(if index == 0 { "" } else { ", " });
        match &column.read {
            Read::Value => value(sql, way, column, is_typed),
            Read::Expression(expression) => drop(sql.operators_condition(expression)),
            Read::Shuffled => drop(sql.text("tenantry_other_").number(index as u64).text(".v")),
        }
    }
}

fn from(sql: &mut Sql, way: Way<'_>, table: &Table) {
    sql.text(" from only ");
    qualified(sql, &way.from.schema, &table.name);
    sql.text(" as s");
    join_shuffled(sql, way, table);
}

/// Appends a join for each column whose values are shuffled.
fn join_shuffled(sql: &mut Sql, way: Way<'_>, table: &Table) {
    let columns = table.columns.iter().enumerate();
    for (index, column) in columns.filter(|(_, column)| column.read == Read::Shuffled) {
        sql.text(" left join (");
        shuffled(sql, way, table, column);
        sql.text(") as tenantry_other_").number(index as u64);
        sql.text(" on tenantry_other_").number(index as u64);
        sql.text(".at operator(pg_catalog.=) s.ctid");
    }
}

/// Appends a query of the physical locations of rows, each with the value of another row.
///
/// Equal values are adjacent, and the values are in random order; each row gets the value that is as many positions
/// further as the most frequent value has rows. So no row gets its own value, unless more than half of them have the
/// same.
fn shuffled(sql: &mut Sql, way: Way<'_>, table: &Table, column: &Column) {
    let of_table = |sql: &mut Sql, alias: &'static str| {
        sql.text(" from only ");
        qualified(sql, &way.from.schema, &table.name);
        sql.text(" as ").text(alias).text(" ");
    };
    sql.text("with g as (select x.").name(&column.name);
    sql.text("::pg_catalog.text as k, pg_catalog.random() as r, pg_catalog.count(*) as n");
    of_table(sql, "x");
    sql.text("where x.")
        .name(&column.name)
        .text(" is not null group by 1), p as (select x.ctid as at, x.");
    sql.name(&column.name).text(
        " as v, pg_catalog.row_number() over (order by g.r, g.k) operator(pg_catalog.-) 1 as place, \
         pg_catalog.count(*) over () as total, pg_catalog.max(g.n) over () as most",
    );
    of_table(sql, "x");
    sql.text("join g on g.k operator(pg_catalog.=) x.").name(&column.name).text(
        "::pg_catalog.text) select a.at, b.v from p a join p b on b.place operator(pg_catalog.=) \
         ((a.place operator(pg_catalog.+) a.most) operator(pg_catalog.%) a.total)",
    );
}

/// Appends the value of a column.
pub(super) fn value(sql: &mut Sql, way: Way<'_>, column: &Column, is_typed: bool) {
    match &column.values {
        Values::OfOwnType(printed) if is_typed => {
            let printed = printed_by_server(printed.clone());
            sql.text("s.").name(&column.name).text("::pg_catalog.text::");
            sql.vouched(&printed, 0..printed.as_str().len());
        }
        Values::Same | Values::OfOwnType(_) => drop(sql.text("s.").name(&column.name)),
        Values::Names(of_type) => {
            name_in_copy(sql, way, column, of_type);
            if is_typed {
                sql.text("::pg_catalog.").text(of_type);
            }
        }
    }
}

/// Appends the name of an object. If it is in the source's schema, the name becomes that of the copy's: neither
/// session has the source's schema in its search path, so the name is printed with it.
fn name_in_copy(sql: &mut Sql, way: Way<'_>, column: &Column, of_type: &'static str) {
    // The text that the server prints before the name, or instead of it.
    let prefix = |sql: &mut Sql, schema: &Ident| {
        sql.text("(pg_catalog.quote_ident(").literal(schema.as_str());
        sql.text(if of_type == "regnamespace" { "))" } else { ") operator(pg_catalog.||) '.')" });
    };
    let printed = |sql: &mut Sql| {
        sql.text("s.").name(&column.name).text("::pg_catalog.text");
    };
    // Types of arguments are printed with their schemas, too.
    let has_arguments = matches!(of_type, "regprocedure" | "regoperator");
    sql.text(if has_arguments { "pg_catalog.regexp_replace((case when " } else { "(case when " });
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
    if has_arguments {
        let (pattern, replacement) = schema_of_arguments(way);
        sql.text(", ").literal(&pattern).text(", ").literal(&replacement).text(", 'g')");
    }
}

/// Returns the regular expression for the source's schema before the type of an argument, and its replacement.
fn schema_of_arguments(way: Way<'_>) -> (String, String) {
    let [from, to] =
        [&way.from.schema, &way.to.schema].map(|schema| fill("{schema}", schema.as_str(), None));
    let mut pattern = String::from("([(,])");
    for character in from.chars() {
        if !character.is_alphanumeric() {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push_str("\\.");
    (pattern, format!("\\1{}.", to.replace('\\', "\\\\")))
}
