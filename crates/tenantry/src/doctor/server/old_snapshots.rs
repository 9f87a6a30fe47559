use futures_util::FutureExt;
use sqlx::{FromRow, Row, postgres::PgRow};

use super::sights::{Sights, hidden};
use crate::{
    doctor::{Examined, Finding, OnServer, ServerCheck, text::counted},
    error::Error,
};

/// Transactions that have been open or idle for too long.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "oldSnapshots",
    title: "Old transactions",
    reads: "the sessions of the server",
    look: |on| look(on).boxed(),
};

/// The number of seconds from which a transaction is idle for too long.
const IDLE: f64 = 5.0 * 60.0;

/// The number of seconds from which a transaction is open for too long.
const OPEN: f64 = 60.0 * 60.0;

/// The open transactions of a program and a role in this database.
#[derive(Debug, Clone, PartialEq)]
struct Open {
    application: String,
    role: String,
    transactions: i64,
    /// The longest that one has been open, in seconds.
    open: f64,
    /// The longest that one has been idle, in seconds.
    idle: f64,
    /// The process with the longest open transaction.
    pid: i32,
}

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let system = on.system();
    let sights = Sights::read(system).await?;
    let open: Vec<Open> =
        sqlx::query_as(OPEN_TRANSACTIONS).persistent(false).fetch_all(system).await?;
    let count = open.iter().map(|open| open.transactions).sum::<i64>();
    let message = counted(
        usize::try_from(count).unwrap_or_default(),
        "open transaction",
        "open transactions",
    );
    let examined = Examined::ok(message).findings(open.iter().filter_map(Open::judge));
    Ok(hidden(examined, sights))
}

impl FromRow<'_, PgRow> for Open {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            application: row.try_get("application")?,
            role: row.try_get("role")?,
            transactions: row.try_get("transactions")?,
            open: row.try_get("open")?,
            idle: row.try_get("idle")?,
            pid: row.try_get("pid")?,
        })
    }
}

impl Open {
    fn judge(&self) -> Option<Finding> {
        let Self { application, role, open, idle, pid, .. } = self;
        let who = if application.is_empty() {
            "a program without an application name"
        } else {
            application
        };
        let minutes = |seconds: f64| format!("{:.0} min", seconds / 60.0);
        let what = if *idle > IDLE {
            format!("{who} ({role}) has left a transaction idle for {}", minutes(*idle))
        } else if *open > OPEN {
            format!("{who} ({role}) has had a transaction open for {}", minutes(*open))
        } else {
            return None;
        };
        let why =
            "it keeps its locks, and prevents vacuum from removing dead rows in the whole database";
        let how = format!(
            "end the transaction of process {pid}, let {who} commit sooner, and set \
             idle_in_transaction_session_timeout for {role}"
        );
        let sql = format!("select pg_catalog.pg_terminate_backend({pid})");
        Some(Finding::warning(what, why).how(how).sql(sql))
    }
}

/// Sessions that a role cannot see have no `xact_start`.
///
/// A statement that has been running for less than a second is part of the usual load. So is a session that is being
/// opened: PostgreSQL 18 shows it with a transaction.
const OPEN_TRANSACTIONS: &str = "\
    select coalesce(a.application_name, '') as application, coalesce(a.usename::pg_catalog.text, '') as role, \
      pg_catalog.count(*) as transactions, \
      pg_catalog.max(pg_catalog.date_part('epoch', \
        pg_catalog.clock_timestamp() operator(pg_catalog.-) a.xact_start)) as open, \
      coalesce(pg_catalog.max(pg_catalog.date_part('epoch', \
        pg_catalog.clock_timestamp() operator(pg_catalog.-) a.state_change)) \
        filter (where pg_catalog.starts_with(a.state, 'idle in transaction')), 0) as idle, \
      (pg_catalog.array_agg(a.pid order by a.xact_start))[1] as pid \
    from pg_catalog.pg_stat_activity a \
    where a.datname operator(pg_catalog.=) pg_catalog.current_database() \
    and a.xact_start is not null and a.usesysid is not null \
    and a.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid() \
    and (pg_catalog.starts_with(a.state, 'idle in transaction') or pg_catalog.date_part('epoch', \
      pg_catalog.clock_timestamp() operator(pg_catalog.-) a.xact_start) operator(pg_catalog.>) 1) \
    group by a.application_name, a.usename order by 4 desc limit 20";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_ones_are_told() {
        let of = |open, idle| {
            let of = Open {
                application: "report".into(),
                role: "app".into(),
                transactions: 1,
                open,
                idle,
                pid: 42,
            };
            of.judge().map(|finding| finding.what)
        };
        assert_eq!(of(59.0 * 60.0, 299.0), None);
        assert!(of(301.0, 301.0).unwrap().contains("idle for 5 min"));
        assert!(of(2.0 * 3_600.0, 0.0).unwrap().contains("open for 120 min"));
    }
}
