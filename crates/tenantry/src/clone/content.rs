//! The content of tables as numbers, to compare a copy with its source on another server.

use std::{fmt, time::Duration};

use sqlx::{PgConnection, Row, SqlStr};

use super::{
    Plan,
    error::failed,
    plan::Table,
    rows::{Way, select_sql},
    settings::session_sql,
};
use crate::{error::Error, schema::read::Subject, sql::Sql};

/// The rows of a table: their number, and the sum of their hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) table: String,
    pub(crate) rows: u64,
    sum: String,
}

impl Content {
    pub(crate) fn new(table: &str, rows: u64, sum: String) -> Self {
        Self { table: table.to_owned(), rows, sum }
    }
}

/// Settings on which the text of values depends, besides those of a copy.
const ALIKE: &str = "set local timezone to 'UTC'; set local search_path to pg_catalog";

/// How long to wait for a lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the content of all tables whose rows are copied, in an open transaction, whose settings change. Names of
/// objects are those in the copy.
pub(crate) async fn contents(
    conn: &mut PgConnection,
    plan: &Plan,
    from: &Subject,
    to: &Subject,
) -> Result<Vec<Content>, Error> {
    let mut sql = Sql::default();
    session_sql(&mut sql, LOCK_TIMEOUT);
    let set = sqlx::raw_sql(sql.finish()).execute(&mut *conn).await;
    set.map_err(|error| failed("setting up a session".into(), error))?;
    set_alike(conn).await?;
    let mut contents = Vec::with_capacity(plan.tables.len());
    for table in &plan.tables {
        contents.push(content_of(conn, Way { from, to }, table).await?);
    }
    Ok(contents)
}

/// Has the open transaction print values as those of other servers do, besides the settings of a copy.
pub(crate) async fn set_alike(conn: &mut PgConnection) -> Result<(), Error> {
    let set = sqlx::raw_sql(ALIKE).execute(conn).await;
    set.map(drop).map_err(|error| failed("setting up a session".into(), error))
}

/// Reads the content of a table.
pub(super) async fn content_of(
    conn: &mut PgConnection,
    way: Way<'_>,
    table: &Table,
) -> Result<Content, Error> {
    let read = sqlx::raw_sql(content_sql(way, table)).fetch_one(conn).await;
    let attempted = || format!("comparing the rows of the table {}", table.name);
    let row = read.map_err(|error| failed(attempted(), error))?;
    let rows = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
    Ok(Content { table: table.name.clone(), rows, sum: row.try_get(1)? })
}

fn content_sql(way: Way<'_>, table: &Table) -> SqlStr {
    let mut sql = Sql::new(
        "select pg_catalog.count(*), coalesce(pg_catalog.sum( \
           pg_catalog.hashtextextended((t.*)::pg_catalog.text, 0)), 0)::pg_catalog.text from (",
    );
    select_sql(&mut sql, way, table);
    sql.text(") as t");
    sql.finish()
}

/// Returns the first tables whose contents differ, in words. `None` if all are the same.
pub(crate) fn different(source: &[Content], copy: &[Content]) -> Option<String> {
    let found: Vec<_> = source
        .iter()
        .zip(copy)
        .filter(|(source, copy)| source != copy)
        .take(3)
        .map(|(source, copy)| Different { source, copy }.to_string())
        .collect();
    match found.is_empty() {
        true => (source.len() != copy.len()).then(|| "the tables are not the same".to_owned()),
        false => Some(found.join("; ")),
    }
}

struct Different<'a> {
    source: &'a Content,
    copy: &'a Content,
}

impl fmt::Display for Different<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, copy } = self;
        match source.rows == copy.rows {
            true => {
                write!(f, "the table {} has {} rows, and other values", source.table, source.rows)
            }
            false => {
                write!(f, "the table {} has {} rows of {}", source.table, copy.rows, source.rows)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(table: &str, rows: u64, sum: &str) -> Content {
        Content { table: table.into(), rows, sum: sum.into() }
    }

    #[test]
    fn differences_are_told() {
        let source = [content("a", 2, "5"), content("b", 3, "7")];
        assert_eq!(different(&source, &source), None);
        let copy = [content("a", 2, "6"), content("b", 2, "7")];
        let told = "the table a has 2 rows, and other values; the table b has 2 rows of 3";
        assert_eq!(different(&source, &copy).as_deref(), Some(told));
        assert!(different(&source, &source[..1]).is_some());
    }
}
