//! The state that a tenant finds on its session.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use sqlx::{Column, Row, SqlSafeStr, SqlStr, postgres::PgRow, raw_sql};

use super::finding::{Stop, code_of};
use crate::{
    db::TenantDb,
    pool::{Lease, PINS, PINS_OF_KEYS},
    sql::Sql,
};

/// Where a statement runs.
#[derive(Debug)]
pub(super) enum On<'a> {
    Handle(&'a TenantDb),
    Lease(&'a mut Lease),
}

impl On<'_> {
    /// Runs text.
    pub(super) async fn ask(&mut self, sql: SqlStr) -> sqlx::Result<Vec<PgRow>> {
        match self {
            Self::Handle(db) => raw_sql(sql).fetch_all(*db).await,
            Self::Lease(lease) => raw_sql(sql).fetch_all(&mut ***lease).await,
        }
    }

    /// Runs a statement that is prepared and cached, as applications do.
    async fn ask_prepared(&mut self, sql: &'static str) -> sqlx::Result<Vec<PgRow>> {
        match self {
            Self::Handle(db) => sqlx::query(sql).fetch_all(*db).await,
            Self::Lease(lease) => sqlx::query(sql).fetch_all(&mut ***lease).await,
        }
    }
}

/// The complete state that a tenant finds on its session, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look(Vec<(String, String)>);

impl Look {
    /// Reads the state of the session and the tenant's row, and runs one more query. Errors of the database are part
    /// of the result.
    pub(super) async fn take(
        mut on: On<'_>,
        own_row: &'static str,
        more: &'static str,
        pids: &Mutex<BTreeSet<i32>>,
    ) -> Result<Self, Stop> {
        let mut found = Vec::new();
        match on.ask(session_sql()).await {
            Ok(rows) => {
                let Some(row) = rows.first() else {
                    return Err(Stop::new("the session returned no row"));
                };
                for column in row.columns() {
                    let text: Option<String> = row.try_get(column.ordinal())?;
                    match (column.name(), text.unwrap_or_default()) {
                        ("pid", pid) => drop(pid.parse().map(|pid| pids.lock().insert(pid))),
                        (name, text) => found.push((name.to_owned(), text)),
                    }
                }
            }
            Err(error) => found.push(("session".into(), code_of(error)?)),
        }
        let owner = on.ask(own_row.into_sql_str()).await;
        found.push(("row".into(), text_of(owner)?));
        found
            .push(("row by a prepared statement".into(), text_of(on.ask_prepared(own_row).await)?));
        if !more.is_empty() {
            let more = on.ask(more.into_sql_str()).await;
            found.push(("answer".into(), text_of(more)?));
        }
        Ok(Self(found))
    }

    /// Returns what has changed since an earlier look.
    pub(super) fn differences(&self, before: &Self) -> Vec<String> {
        let before_of = |name: &String| before.0.iter().find(|(of, _)| of == name);
        let differing = self.0.iter().filter_map(|(name, now)| match before_of(name) {
            Some((_, before)) if before == now => None,
            Some((_, before)) => Some(format!("{name} {now:?} instead of {before:?}")),
            None => Some(format!("{name} {now:?}")),
        });
        differing.collect()
    }

    pub(super) fn owner(&self) -> &str {
        let row = self.0.iter().find(|(name, _)| name == "row");
        row.map_or("", |(_, owner)| owner)
    }
}

/// The rows as text, or the code of the error.
pub(super) fn text_of(rows: sqlx::Result<Vec<PgRow>>) -> Result<String, Stop> {
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => return code_of(error),
    };
    let mut texts = Vec::new();
    for row in &rows {
        if !row.is_empty() {
            texts.push(row.try_get_unchecked::<Option<String>, _>(0)?.unwrap_or_default());
        }
    }
    Ok(texts.join(", "))
}

/// One row about the session, from sources that the tenant cannot replace.
///
/// The locks with which the pool pins schemas and keys are internal to it and omitted.
fn session_sql() -> SqlStr {
    let mut sql = Sql::new(
        "select pg_catalog.pg_backend_pid()::pg_catalog.text as pid, \
         pg_catalog.current_setting('search_path') as \"search path\", \
         pg_catalog.current_setting('role') as role, \
         current_user::pg_catalog.text as \"current user\", \
         session_user::pg_catalog.text as \"session user\", \
         (pg_catalog.timestamptz_ne(pg_catalog.transaction_timestamp(), \
           pg_catalog.statement_timestamp()))::pg_catalog.text as \"open transaction\", \
         (select pg_catalog.string_agg(pg_catalog.concat(s.name, ' = ', s.setting), ', ' order by s.name) \
           from pg_catalog.pg_settings s where s.source operator(pg_catalog.=) 'session') as settings, \
         pg_catalog.current_setting('tenantry_proof.planted', true) as \"custom setting\", \
         (select pg_catalog.count(*)::pg_catalog.text from pg_catalog.pg_depend d \
           where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
           and d.refobjid operator(pg_catalog.=) pg_catalog.pg_my_temp_schema()) as \"temporary objects\", \
         (select pg_catalog.count(*)::pg_catalog.text from pg_catalog.pg_locks l \
           where l.pid operator(pg_catalog.=) pg_catalog.pg_backend_pid() \
           and l.locktype operator(pg_catalog.=) 'advisory' \
           and l.classid operator(pg_catalog.<>) all (array[",
    );
    sql.number(u64::from(PINS)).text(", ").number(u64::from(PINS_OF_KEYS)).text(
        "]::pg_catalog.oid[])) as \"advisory locks\", \
         (select pg_catalog.count(*)::pg_catalog.text from pg_catalog.pg_listening_channels()) as channels, \
         (select pg_catalog.count(*)::pg_catalog.text from pg_catalog.pg_prepared_statement() \
           where from_sql) as \"prepared statements\", \
         (select pg_catalog.count(*)::pg_catalog.text from pg_catalog.pg_cursor() c \
           where c.name operator(pg_catalog.<>) '') as cursors",
    );
    sql.finish()
}
