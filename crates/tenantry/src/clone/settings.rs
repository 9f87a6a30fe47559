//! Settings of the sessions that copy, local to their transactions.

use std::time::Duration;

use sqlx::{PgConnection, Row};

use super::error::failed;
use crate::{error::Error, sql::Sql};

/// Settings that are the same for every copy. Values must mean the same to the session that prints them and to the
/// one that reads them. Where row security would hide rows, an error is better than an incomplete copy.
const SETTINGS: [(&str, &str); 12] = [
    ("row_security", "off"),
    ("check_function_bodies", "off"),
    ("standard_conforming_strings", "on"),
    ("default_tablespace", ""),
    ("default_table_access_method", "heap"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("xmloption", "content"),
    ("quote_all_identifiers", "off"),
];

/// The previous settings of a session.
#[derive(Debug)]
pub(super) struct Before(Vec<String>);

/// Appends the isolation level `repeatable read`. It must come first in a transaction.
pub(crate) fn in_snapshot_sql(sql: &mut Sql) {
    sql.text("set transaction isolation level repeatable read; ");
}

/// Appends the timeouts. This takes no snapshot.
pub(super) fn limits_sql(sql: &mut Sql, lock_timeout: Duration) {
    let millis = u64::try_from(lock_timeout.as_millis()).unwrap_or(u64::MAX);
    sql.text(
        "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0; ",
    );
    sql.text("set local lock_timeout = ");
    sql.number(millis.clamp(1, u64::from(i32::MAX.unsigned_abs()))).text("; ");
}

/// Appends the settings and the timeouts.
pub(crate) fn session_sql(sql: &mut Sql, lock_timeout: Duration) {
    limits_sql(sql, lock_timeout);
    for (name, value) in SETTINGS {
        sql.text("set local ").text(name).text(" to ").literal(value).text("; ");
    }
}

/// Sets a session up for a copy.
pub(super) async fn set_up(
    conn: &mut PgConnection,
    lock_timeout: Duration,
) -> Result<Before, Error> {
    let mut sql = Sql::new("select ");
    for (index, (name, _)) in SETTINGS.into_iter().enumerate() {
        sql.text(if index == 0 { "" } else { ", " });
        sql.text("pg_catalog.current_setting(").literal(name).text(")");
    }
    sql.text("; ");
    session_sql(&mut sql, lock_timeout);
    let row = sqlx::raw_sql(sql.finish()).fetch_one(conn).await;
    let row = row.map_err(|error| failed("setting up a session".into(), error))?;
    let before =
        (0..SETTINGS.len()).map(|place| row.try_get(place)).collect::<sqlx::Result<_>>()?;
    Ok(Before(before))
}

impl Before {
    /// Appends statements that restore the settings for the rest of the transaction. The timeouts stay off.
    pub(super) fn restore_sql(&self, sql: &mut Sql) {
        for ((name, _), value) in SETTINGS.into_iter().zip(&self.0) {
            sql.text("set local ").text(name).text(" to ").literal(value).text("; ");
        }
    }
}

/// Appends the removal of the timeout that PostgreSQL 17 added. It takes a snapshot.
pub(crate) fn unlimited_sql(sql: &mut Sql) {
    sql.text(
        "select pg_catalog.set_config(s.name, '0', true) from pg_catalog.pg_settings s \
         where s.name operator(pg_catalog.=) 'transaction_timeout'; ",
    );
}
