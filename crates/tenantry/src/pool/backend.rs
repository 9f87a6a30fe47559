//! Identifies the server process behind a connection.

use std::time::Duration;

use sqlx::{
    Executor, PgConnection, Row,
    postgres::{PgRow, types::Oid},
    raw_sql,
};
use tokio::time::{Instant, sleep};

use super::session_error::leaves_session_usable;
use crate::sql::Sql;

/// One server process.
///
/// Process ids are reused, and two servers behind one address can have equal ones. The start times
/// of the process and of its server distinguish them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) pid: i32,
    /// Start time of the process, in microseconds since 2000. PostgreSQL shows it to the role of the
    /// session and to members of `pg_read_all_stats`.
    started: Option<i64>,
    /// Start time of its server, in microseconds since 2000.
    server_started: i64,
}

/// Result of comparing the current server process with the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// The connection moves between processes that also serve other connections.
    Moves,
    /// The previous process has ended, so something in between has reconnected.
    Reconnected,
    /// The previous process may be hidden or belong to another server.
    Unclear,
}

/// How long the previous process may outlive its connection before it counts as still in use.
///
/// An idle process ends as soon as its socket is closed. One that runs a statement notices within
/// `client_connection_check_interval`, which every session sets to one second.
const OUTLIVES: Duration = Duration::from_millis(1_500);

/// Pauses between two checks: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];

/// Begins a transaction in which the session's own role is in effect. Behind a pooler in
/// transaction mode, another client may have set a role that cannot see the start time.
const BEGIN: &str = "begin; set local role to none; ";

const WHO: &str = "\
    select pg_catalog.pg_backend_pid() as tenantry_process, \
      (select pg_catalog.encode(pg_catalog.timestamptz_send(a.backend_start), 'hex') \
         from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a) as tenantry_started, \
      pg_catalog.encode(pg_catalog.timestamptz_send(pg_catalog.pg_postmaster_start_time()), 'hex') \
        as tenantry_server_started";

/// The columns and the table that tell the same, whether the server is in recovery, and the database. A new
/// process reads the catalog and code for each function and operator that a query mentions: times as the
/// bytes that are sent to clients take fewer than numbers of seconds.
pub(super) const FIRST: [&str; 2] = [
    "pg_catalog.pg_backend_pid() as tenantry_process, \
     pg_catalog.encode(pg_catalog.timestamptz_send(tenantry_a.backend_start), 'hex') as tenantry_started, \
     pg_catalog.encode(pg_catalog.timestamptz_send(pg_catalog.pg_postmaster_start_time()), 'hex') \
       as tenantry_server_started, \
     pg_catalog.pg_is_in_recovery() as tenantry_in_recovery, tenantry_a.datid as tenantry_database",
    " from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) tenantry_a",
];

/// What is known of the server process of a new connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstAnswer {
    pub(super) backend: Backend,
    pub(super) in_recovery: bool,
    /// The OID of its database.
    pub(super) database: Option<u32>,
}

impl Backend {
    /// Identifies the server process. `None` if the server refuses the query.
    pub(super) async fn ask(conn: &mut PgConnection) -> sqlx::Result<Option<Self>> {
        let mut sql = Sql::new(BEGIN);
        sql.text(WHO).text("; rollback");
        ask(conn, sql).await
    }

    /// Identifies the server process of a new connection, then runs this statement. `None` if the
    /// server refuses any of this.
    pub(super) async fn ask_first(
        conn: &mut PgConnection,
        then: &'static str,
    ) -> sqlx::Result<Option<FirstAnswer>> {
        let [columns, table] = FIRST;
        let mut sql = Sql::new(BEGIN);
        sql.text("select ").text(columns).text(table).text("; rollback; ").text(then);
        let Some(row) = row_of(conn, sql).await? else {
            // What was refused may have failed in the transaction.
            Self::end(conn).await?;
            return Ok(None);
        };
        FirstAnswer::try_from(&row).map(Some)
    }

    /// Begins a transaction and identifies the server process in it. [`end`](Self::end) rolls it
    /// back.
    pub(super) async fn ask_in_transaction(conn: &mut PgConnection) -> sqlx::Result<Option<Self>> {
        let mut sql = Sql::new(BEGIN);
        sql.text(WHO);
        ask(conn, sql).await
    }

    /// Rolls back the transaction of [`ask_in_transaction`](Self::ask_in_transaction).
    pub(super) async fn end(conn: &mut PgConnection) -> sqlx::Result<()> {
        conn.execute(raw_sql("rollback")).await.map(drop)
    }

    /// Returns the start time of its server, in microseconds since 2000.
    pub(super) fn server_started(&self) -> i64 {
        self.server_started
    }

    /// Returns `true` if the process can be distinguished from others and looked up.
    pub(super) fn is_known(&self) -> bool {
        self.started.is_some()
    }

    /// Finds out why another process answers on a connection that this one has served: checks until
    /// the process has ended, or has outlived its connection for too long.
    ///
    /// `serves_another` returns `true` if a process serves another live connection.
    pub(super) async fn look_for(
        self,
        conn: &mut PgConnection,
        serves_another: impl Fn(&Self) -> bool,
    ) -> sqlx::Result<Finding> {
        let deadline = Instant::now() + OUTLIVES;
        let [mut pause, longest] = PAUSES;
        loop {
            let Some((now, is_there)) = self.look_once(conn).await? else {
                return Ok(Finding::Unclear);
            };
            let patience = if Instant::now() < deadline { Patience::Left } else { Patience::Over };
            if let Some(finding) = self.judge(&now, is_there, serves_another(&now), patience) {
                return Ok(finding);
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Evaluates one check, or decides that another one is needed.
    fn judge(
        &self,
        now: &Self,
        is_there: bool,
        serves_another: bool,
        patience: Patience,
    ) -> Option<Finding> {
        if !now.is_known() || now.server_started != self.server_started {
            Some(Finding::Unclear)
        } else if serves_another || now == self {
            Some(Finding::Moves)
        } else if !is_there {
            Some(Finding::Reconnected)
        } else {
            (patience == Patience::Over).then_some(Finding::Moves)
        }
    }

    /// Identifies the current process, and whether this process still exists.
    async fn look_once(&self, conn: &mut PgConnection) -> sqlx::Result<Option<(Self, bool)>> {
        let Some(started) = self.started else {
            return Ok(None);
        };
        let mut sql = Sql::new(BEGIN);
        sql.text(WHO);
        sql.text(
            ", (select pg_catalog.encode(pg_catalog.timestamptz_send(a.backend_start), 'hex') \
                from pg_catalog.pg_stat_get_activity(",
        );
        sql.integer(self.pid.into()).text(") a) as tenantry_there; rollback");
        let Some(row) = row_of(conn, sql).await? else {
            return Ok(None);
        };
        let there = time_in(&row, "tenantry_there")?;
        Ok(Some((Self::try_from(&row)?, there == Some(started))))
    }
}

/// Whether another check may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    Left,
    Over,
}

async fn ask(conn: &mut PgConnection, sql: Sql) -> sqlx::Result<Option<Backend>> {
    row_of(conn, sql).await?.as_ref().map(Backend::try_from).transpose()
}

/// Runs a string of statements that returns one row. `None` if the server refuses it.
async fn row_of(conn: &mut PgConnection, sql: Sql) -> sqlx::Result<Option<PgRow>> {
    match conn.fetch_all(raw_sql(sql.finish())).await {
        Ok(rows) => Ok(rows.into_iter().next()),
        Err(error) if leaves_session_usable(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

impl TryFrom<&PgRow> for Backend {
    type Error = sqlx::Error;

    fn try_from(row: &PgRow) -> sqlx::Result<Self> {
        let server_started = time_in(row, "tenantry_server_started")?;
        Ok(Self {
            pid: row.try_get("tenantry_process")?,
            started: time_in(row, "tenantry_started")?,
            server_started: server_started.ok_or(sqlx::Error::RowNotFound)?,
        })
    }
}

impl TryFrom<&PgRow> for FirstAnswer {
    type Error = sqlx::Error;

    fn try_from(row: &PgRow) -> sqlx::Result<Self> {
        let database: Option<Oid> = row.try_get("tenantry_database")?;
        Ok(Self {
            backend: Backend::try_from(row)?,
            in_recovery: row.try_get("tenantry_in_recovery")?,
            database: database.map(|Oid(oid)| oid),
        })
    }
}

/// Reads the bytes of a time, in hexadecimal digits.
fn time_in(row: &PgRow, column: &str) -> sqlx::Result<Option<i64>> {
    let digits: Option<&str> = row.try_get(column)?;
    let time = digits.map(|digits| u64::from_str_radix(digits, 16)).transpose();
    let time = time.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(time.map(u64::cast_signed))
}

#[cfg(test)]
pub(super) fn backend(pid: i32, started: i64) -> Backend {
    Backend { pid, started: Some(started), server_started: 1 }
}

#[cfg(test)]
mod tests {
    use super::{Patience::*, *};

    #[test]
    fn only_a_process_that_stays_or_serves_another_connection_is_proof() {
        let (former, now) = (backend(1, 10), backend(2, 20));
        let reused = backend(1, 30);
        let hidden = Backend { started: None, ..now };
        let elsewhere = Backend { server_started: 2, ..now };
        let elsewhere_with_the_same_pid = Backend { server_started: 2, ..former };
        for (answers, is_there, serves_another, patience, finding) in [
            (now, true, false, Left, None),
            (now, true, false, Over, Some(Finding::Moves)),
            (now, false, false, Left, Some(Finding::Reconnected)),
            (now, false, false, Over, Some(Finding::Reconnected)),
            (now, true, true, Left, Some(Finding::Moves)),
            (former, true, false, Left, Some(Finding::Moves)),
            (reused, false, false, Left, Some(Finding::Reconnected)),
            (hidden, true, false, Over, Some(Finding::Unclear)),
            (elsewhere, true, false, Over, Some(Finding::Unclear)),
            (elsewhere_with_the_same_pid, false, false, Left, Some(Finding::Unclear)),
        ] {
            let found = former.judge(&answers, is_there, serves_another, patience);
            assert_eq!(found, finding, "{answers:?} {is_there} {serves_another} {patience:?}");
        }
    }
}
