//! Writes chosen rows of one schema to another, through temporary tables.

use std::time::Duration;

use sqlx::{PgConnection, Row, SqlStr};

use super::{
    content::set_alike,
    copy::restore,
    error::failed,
    rows::qualified,
    settings::{self, limits_sql, set_up, unlimited_sql},
    staged::{Staged, Write},
};
use crate::{error::Error, schema::read::Subject, sql::Sql, tenant::Ident};

/// Rows of a table that were written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
}

/// The settings of a session before rows were read.
#[derive(Debug)]
pub(crate) struct Before {
    settings: settings::Before,
    timezone: String,
}

/// Locks tables against changes of their structure, and not against reads and writes, until the end of the
/// transaction, whose snapshot is taken after that.
pub(crate) async fn hold_for_writing(
    conn: &mut PgConnection,
    schema: &Ident,
    tables: &[&str],
    lock_timeout: Duration,
) -> Result<(), Error> {
    let mut sql = Sql::default();
    limits_sql(&mut sql, lock_timeout);
    for (index, table) in tables.iter().enumerate() {
        sql.text(if index == 0 { "lock table only " } else { ", only " });
        qualified(&mut sql, schema, table);
    }
    sql.text(if tables.is_empty() { "" } else { " in row exclusive mode; " });
    unlimited_sql(&mut sql);
    let held = sqlx::raw_sql(sql.finish()).execute(conn).await;
    held.map(drop).map_err(|error| failed("locking the tables of the target".into(), error))
}

/// Has the open transaction read values as those of another server print them.
pub(crate) async fn ready(
    conn: &mut PgConnection,
    lock_timeout: Duration,
) -> Result<Before, Error> {
    let timezone = "select pg_catalog.current_setting('timezone')";
    let row = sqlx::raw_sql(timezone).fetch_one(&mut *conn).await?;
    let timezone = row.try_get(0)?;
    let settings = set_up(conn, lock_timeout).await?;
    set_alike(conn).await?;
    Ok(Before { settings, timezone })
}

/// Restores the settings for the application's triggers, which see this search path. The timeouts stay off.
pub(crate) async fn unready(
    conn: &mut PgConnection,
    before: &Before,
    path: &[Ident],
) -> Result<(), Error> {
    restore(conn, &before.settings).await?;
    let mut sql = Sql::new("set local timezone to ");
    sql.literal(&before.timezone).text("; set local search_path to ").idents(path);
    let set = sqlx::raw_sql(sql.finish()).execute(conn).await;
    set.map(drop).map_err(|error| failed("setting up a session".into(), error))
}

/// Returns one statement that writes the rows of all tables, so that the server checks foreign keys when everything is
/// there. In a table, rows are deleted first and inserted last. It returns a row for each table, with the number of
/// rows that were deleted, updated and inserted.
fn merge_sql(to: &Subject, staged: &[Staged]) -> SqlStr {
    let mut sql = Sql::new("with ");
    let mut is_first = true;
    for of in staged {
        let mut after = None;
        for write in Write::ALL.into_iter().filter(|write| of.rows(*write) > 0) {
            sql.text(if is_first { "" } else { ", " }).text(write.part());
            sql.number(of.number).text(" as (");
            of.write_sql(&mut sql, to, write, after);
            sql.text(")");
            (is_first, after) = (false, Some(write));
        }
    }
    for (index, of) in staged.iter().enumerate() {
        sql.text(if index == 0 { " select " } else { " union all select " });
        sql.number(index as u64).text("::pg_catalog.int8");
        for write in Write::ALL {
            match of.rows(write) {
                0 => drop(sql.text(", 0::pg_catalog.int8")),
                _ => {
                    sql.text(", (select pg_catalog.count(*) from ").text(write.part());
                    sql.number(of.number).text(")");
                }
            }
        }
    }
    sql.finish()
}

/// Writes the rows of all tables, and checks every constraint. Returns what was written, in the same order.
pub(crate) async fn write(
    conn: &mut PgConnection,
    to: &Subject,
    staged: &[Staged],
) -> sqlx::Result<Vec<Written>> {
    let mut written = vec![Written::default(); staged.len()];
    if staged.is_empty() {
        return Ok(written);
    }
    for row in sqlx::raw_sql(merge_sql(to, staged)).fetch_all(&mut *conn).await? {
        let number = |place: usize| {
            row.try_get::<i64, _>(place).map(|rows| u64::try_from(rows).unwrap_or_default())
        };
        let place = usize::try_from(number(0)?).unwrap_or(usize::MAX);
        if let Some(of) = written.get_mut(place) {
            *of = Written { deleted: number(1)?, updated: number(2)?, inserted: number(3)? };
        }
    }
    // What is deferred fails here, and not at the commit.
    sqlx::raw_sql("set constraints all immediate").execute(conn).await?;
    Ok(written)
}

/// Reads how many rows of each table of a schema the open transaction has changed, triggers and foreign keys included.
pub(crate) async fn changed(
    conn: &mut PgConnection,
    schema: &Ident,
) -> Result<Vec<(String, Written)>, Error> {
    let query = sqlx::query(
        "select s.relname::pg_catalog.text, s.n_tup_ins, s.n_tup_upd, s.n_tup_del \
         from pg_catalog.pg_stat_xact_user_tables s \
         where s.schemaname operator(pg_catalog.=) $1::pg_catalog.name \
         and (s.n_tup_ins operator(pg_catalog.>) 0 or s.n_tup_upd operator(pg_catalog.>) 0 \
         or s.n_tup_del operator(pg_catalog.>) 0) order by 1",
    );
    let rows = query.bind(schema.as_str()).persistent(false).fetch_all(conn).await?;
    let of = |row: &sqlx::postgres::PgRow| {
        let number = |place: usize| {
            row.try_get::<i64, _>(place).map(|rows| u64::try_from(rows).unwrap_or_default())
        };
        let written = Written { inserted: number(1)?, updated: number(2)?, deleted: number(3)? };
        Ok((row.try_get(0)?, written))
    };
    Ok(rows.iter().map(of).collect::<sqlx::Result<_>>()?)
}
