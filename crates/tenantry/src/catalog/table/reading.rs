//! Statements that read a table with custom column names, a view or a query: its columns are looked
//! up once, and the statements are built from them.

use std::sync::Arc;

use parking_lot::Mutex;
use sqlx::{Column as _, Row, SqlStr, TypeInfo, postgres::PgRow};

use super::{
    columns::Field,
    shape::{Column, Shape, Type},
};
use crate::{
    db::SharedDb,
    sql::Sql,
    tenant::{Ident, TenantId},
};

/// The source of the rows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    Relation(&'a Ident, &'a Ident),
    Query(&'a str),
}

impl Source<'_> {
    /// Returns its name for error messages.
    pub(super) fn in_words(self) -> String {
        match self {
            Self::Relation(schema, name) => format!("the table {schema}.{name}"),
            Self::Query(_) => "the catalog's query".to_owned(),
        }
    }

    fn to(self, sql: &mut Sql) -> &mut Sql {
        match self {
            Self::Relation(schema, name) => sql.ident(schema).text(".").ident(name),
            Self::Query(query) => sql.query_of_application(query),
        }
        .text(" as q")
    }
}

/// Describes the columns without reading data or running functions of the query: a row of nulls is
/// joined to none.
pub(super) async fn describe(db: &SharedDb, source: Source<'_>) -> sqlx::Result<Vec<Column>> {
    let mut sql = Sql::new("select q.* from ");
    source.to(&mut sql).text(" right join (select) as one on false");
    let row: PgRow = sqlx::query(sql.finish()).persistent(false).fetch_one(db).await?;
    let column = |column: &sqlx::postgres::PgColumn| Column {
        name: column.name().to_owned(),
        type_name: column.type_info().name().to_owned(),
    };
    Ok(row.columns().iter().map(column).collect())
}

/// The statements for one set of columns.
#[derive(Debug)]
pub(super) struct Reading {
    id: Type,
    /// Finds tenants: `$1` is their ids as text.
    pub(super) find: SqlStr,
    /// Lists the first `$1` of them.
    pub(super) first: SqlStr,
    /// Lists the next `$1` after the id `$2`.
    pub(super) next: SqlStr,
}

impl Reading {
    /// Builds the statements. The shape has a column for the id.
    pub(super) fn new(source: Source<'_>, shape: &Shape) -> Self {
        let (column, id) = shape.of(Field::Id).unwrap_or((Field::Id.name(), Type::Other));
        let begin = || {
            let mut sql = Sql::new("select ");
            fields(&mut sql, shape);
            source.to(sql.text(" from "));
            sql
        };
        let compared = |sql: &mut Sql| {
            sql.text("q.").name(column).text(match id {
                Type::Text | Type::Uuid | Type::Integer => "",
                _ => "::pg_catalog.text",
            });
        };
        let mut find = begin();
        compared(find.text(" where "));
        find.text(" operator(pg_catalog.=) any($1::pg_catalog.text[]").text(match id {
            Type::Uuid => "::pg_catalog.uuid[])",
            Type::Integer => "::pg_catalog.int8[])",
            _ => ")",
        });
        let mut first = begin();
        compared(first.text(" order by "));
        // A row without an id is an error, and no later page would include it.
        first.text(" nulls first fetch first $1 rows with ties");
        let mut next = begin();
        compared(next.text(" where "));
        next.text(" operator(pg_catalog.>) $2::pg_catalog.text").text(match id {
            Type::Uuid => "::pg_catalog.uuid",
            Type::Integer => "::pg_catalog.int8",
            _ => "",
        });
        compared(next.text(" order by "));
        // The next page begins after the last id: all rows with an equal id, also in the column's
        // collation, are on this page.
        next.text(" fetch first $1 rows with ties");
        Self { id, find: find.finish(), first: first.finish(), next: next.finish() }
    }

    /// Returns the ids that a value of the column's type can have. Other ids cannot be tenants.
    pub(super) fn askable<'i>(&self, ids: &'i [TenantId]) -> Vec<&'i str> {
        let is_value = |id: &&str| match self.id {
            Type::Uuid => is_uuid(id),
            Type::Integer => id.parse::<i64>().is_ok_and(|number| number.to_string() == **id),
            _ => true,
        };
        ids.iter().map(TenantId::as_str).filter(is_value).collect()
    }
}

/// Returns `true` if a text is a UUID in PostgreSQL's output format.
fn is_uuid(text: &str) -> bool {
    let is_right = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_right)
}

/// Appends the fields of a tenant, under the names that [`record`](super::record) expects.
fn fields(sql: &mut Sql, shape: &Shape) {
    for (index, field) in Field::ALL.into_iter().enumerate() {
        sql.text(if index == 0 { "" } else { ", " });
        match (field, shape.of(field)) {
            (Field::State, Some((column, Type::Boolean))) => {
                sql.text("case when q.").name(column).text(" then 'active' when not q.");
                sql.name(column).text(" then 'suspended' end")
            }
            (Field::CreatedAt, Some((column, _))) => {
                sql.text("extract(epoch from q.").name(column).text(")::pg_catalog.float8")
            }
            (Field::Settings, Some((column, Type::TextArray))) => {
                sql.text("pg_catalog.to_jsonb(q.").name(column).text(")")
            }
            (Field::Attributes | Field::Settings, Some((column, _))) => {
                sql.text("q.").name(column).text("::pg_catalog.jsonb")
            }
            (Field::Epoch, Some((column, _))) => {
                sql.text("q.").name(column).text("::pg_catalog.int8")
            }
            (_, Some((column, _))) => sql.text("q.").name(column).text("::pg_catalog.text"),
            (Field::State, None) => sql.text("'active'::pg_catalog.text"),
            (Field::Epoch, None) => sql.text("null::pg_catalog.int8"),
            (Field::CreatedAt, None) => sql.text("null::pg_catalog.float8"),
            (Field::Attributes | Field::Settings, None) => sql.text("null::pg_catalog.jsonb"),
            (_, None) => sql.text("null::pg_catalog.text"),
        };
        sql.text(" as ").text(field.name());
    }
    let places = [Field::Isolation, Field::Server].iter().any(|field| shape.of(*field).is_some());
    sql.text(if places { ", true as places" } else { ", false as places" });
}

/// The statements that were built last.
#[derive(Debug, Clone, Default)]
pub(super) struct Remembered(Arc<Mutex<Option<Arc<Reading>>>>);

impl Remembered {
    pub(super) fn get(&self) -> Option<Arc<Reading>> {
        self.0.lock().clone()
    }

    pub(super) fn set(&self, reading: Option<Arc<Reading>>) {
        *self.0.lock() = reading;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_that_the_column_can_hold_are_asked_for() {
        let reading = |id| Reading {
            id,
            find: Sql::new("").finish(),
            first: Sql::new("").finish(),
            next: Sql::new("").finish(),
        };
        let texts = [
            "acme",
            "42",
            "042",
            "99999999999999999999",
            "550e8400-e29b-41d4-a716-446655440000",
            "550E8400-E29B-41D4-A716-446655440000",
            "550e8400e29b41d4a716446655440000",
        ];
        let ids: Vec<_> = texts.iter().map(|text| TenantId::parse(text).unwrap()).collect();
        assert_eq!(reading(Type::Text).askable(&ids), texts);
        assert_eq!(reading(Type::Integer).askable(&ids), ["42"]);
        assert_eq!(reading(Type::Uuid).askable(&ids), [texts[4]]);
    }
}
