//! A snapshot of a database's activity.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{ServerActivity, TopStatement};
use crate::{
    event::{serialize_millis, serialize_optional_millis},
    table::Table,
    timestamp,
};

/// PostgreSQL's own view of the load on the manager's database and on the tenants' own databases, at an
/// instant.
///
/// With [several servers](crate::ManagerBuilder::server), sessions, statements and waits are those of all
/// servers, and [`servers`](Self::servers) has the figures of each. The version, the connections and the
/// totals of the database are those of the main server.
///
/// `Display` is a summary for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Activity {
    /// The time of the snapshot, by the server's clock.
    #[serde(serialize_with = "timestamp::serialize")]
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub at: SystemTime,
    /// Duration of the reading.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// The version of the server, such as `17.2`. Empty if the main one of several servers was not read.
    pub server_version: String,
    /// Connections relative to the server's limits. Zero if the main one of several servers was not read.
    pub connections: Connections,
    /// The servers, the main one first, if there are several: also those that could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<ServerActivity>,
    /// All client sessions in this database and in the tenants' own databases, except those that read the
    /// activity.
    pub sessions: SessionCounts,
    /// The same by `application_name`; Tenantry's processes come first, as `tenantry/<instance>`.
    pub applications: Vec<ApplicationActivity>,
    /// The same by tenant, server and database, if session names
    /// [include the tenant](crate::PoolOptions::name_tenants).
    pub tenants: Vec<TenantActivity>,
    /// Wait events of active sessions, the most frequent first.
    pub waits: Vec<Wait>,
    /// Sessions that wait for a lock, with the sessions that hold it or are ahead in its queue.
    pub blocked: Vec<Blocked>,
    /// Statements that have been running for longer than
    /// [`slow_after`](super::ActivityOptions::slow_after), the longest first.
    pub slow: Vec<SlowStatement>,
    /// Totals of the database since its statistics were last reset.
    pub database: DatabaseTotals,
    /// The statements with the highest total time, if requested and `pg_stat_statements` is
    /// readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statements: Option<Vec<TopStatement>>,
    /// Missing information: its absence above means nothing.
    pub unseen: Vec<Unseen>,
}

/// Connections relative to the server's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Connections {
    /// The server's `max_connections`.
    pub max: u32,
    /// Number of connections reserved for superusers and for members of
    /// `pg_use_reserved_connections`.
    pub reserved: u32,
    /// Number of client connections, in all databases of the server.
    pub used: u32,
}

/// Sessions by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SessionCounts {
    /// Total number.
    pub total: usize,
    /// Sessions that run a statement.
    pub active: usize,
    /// Number of active sessions that wait, such as for a lock or for the disk.
    pub waiting: usize,
    /// Sessions that wait for a statement, outside a transaction.
    pub idle: usize,
    /// Sessions that wait for a statement in a transaction, including a failed one.
    pub idle_in_transaction: usize,
    /// Sessions with an unknown state, such as those of other roles.
    pub unknown: usize,
}

/// The sessions of one application.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplicationActivity {
    /// The `application_name`, without the tenant. Empty if it is not set or not visible.
    pub application: String,
    /// `true` if it is a process of Tenantry.
    pub is_tenantry: bool,
    /// Its sessions.
    pub sessions: SessionCounts,
    /// Duration of its longest open transaction.
    #[serde(rename = "longestTransactionMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub longest_transaction: Option<Duration>,
    /// Duration of its longest running statement.
    #[serde(rename = "longestStatementMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub longest_statement: Option<Duration>,
}

/// The sessions that are bound to one tenant, over all processes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantActivity {
    /// The tenant.
    pub tenant_id: String,
    /// `true` if the id may be truncated: an `application_name` has 63 bytes.
    pub is_cut: bool,
    /// The server of these sessions, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// The database of these sessions, if it is not the one in the URL of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
    /// Its sessions.
    pub sessions: SessionCounts,
    /// Duration of its longest open transaction.
    #[serde(rename = "longestTransactionMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub longest_transaction: Option<Duration>,
    /// Duration of its longest running statement.
    #[serde(rename = "longestStatementMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub longest_statement: Option<Duration>,
}

/// A wait event of active sessions, in PostgreSQL's
/// [terms](https://www.postgresql.org/docs/current/monitoring-stats.html#WAIT-EVENT-TABLE).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Wait {
    /// The type of the event, such as `Lock`.
    pub event_type: String,
    /// The event, such as `transactionid`.
    pub event: String,
    /// Number of sessions that wait for it.
    pub sessions: usize,
}

/// A session that waits for a lock.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Blocked {
    /// Its server, if there are several: process ids are those of one server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// Its database, if it is not the one in the URL of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
    /// The process id of its server process.
    pub pid: i32,
    /// Its application.
    pub application: String,
    /// The tenant that it is bound to, if its name includes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The object of the lock, such as `relation`.
    pub lock: String,
    /// Duration of the waiting statement so far.
    #[serde(rename = "runningMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub running: Duration,
    /// The server processes that it waits for. Zero stands for a prepared transaction.
    pub by: Vec<i32>,
}

/// A statement that has been running for a long time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SlowStatement {
    /// Its server, if there are several: process ids are those of one server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// Its database, if it is not the one in the URL of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
    /// The process id of its server process.
    pub pid: i32,
    /// Its application.
    pub application: String,
    /// The tenant that its session is bound to, if its name includes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The login role.
    pub user: String,
    /// Duration of the statement so far.
    #[serde(rename = "runningMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub running: Duration,
    /// Its wait event, such as `Lock: relation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    /// The text of the statement, [truncated](super::ActivityOptions::text_length).
    pub text: String,
}

/// Totals of a database since its statistics were reset, from `pg_stat_database`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DatabaseTotals {
    /// Committed transactions.
    pub commits: i64,
    /// Transactions rolled back.
    pub rollbacks: i64,
    /// Blocks read from outside the server's own cache.
    pub blocks_read: i64,
    /// Blocks found in the cache.
    pub blocks_hit: i64,
    /// Rows read by queries.
    pub rows_returned: i64,
    /// Rows inserted, updated or deleted.
    pub rows_changed: i64,
    /// Bytes written to temporary files.
    pub temp_bytes: i64,
    /// Deadlocks.
    pub deadlocks: i64,
    /// Time of the last reset, in microseconds since 1970; `None` for never.
    #[serde(skip)]
    pub(super) reset: Option<i64>,
}

/// A piece of missing information.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Unseen {
    /// The information.
    pub what: String,
    /// The reason, and the remedy.
    pub why: String,
    /// The server that it is missing from, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

impl Unseen {
    pub(super) fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), server: None }
    }

    pub(super) fn on(self, server: Option<Arc<str>>) -> Self {
        Self { server, ..self }
    }
}

/// Writes the information, and the server that it is missing from.
impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.server.iter().try_for_each(|server| write!(f, " on server {server}"))
    }
}

impl fmt::Display for SessionCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { total, active, waiting, idle, idle_in_transaction, unknown } = self;
        let sessions = if *total == 1 { "session" } else { "sessions" };
        write!(f, "{total} {sessions}: {active} active ({waiting} waiting), {idle} idle, ")?;
        write!(f, "{idle_in_transaction} idle in transaction")?;
        if *unknown > 0 { write!(f, ", {unknown} unknown") } else { Ok(()) }
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.servers[..] {
            [] => {
                let Connections { max, reserved, used } = self.connections;
                let version = &self.server_version;
                write!(
                    f,
                    "PostgreSQL {version}: {used} of {max} connections, {reserved} reserved"
                )?;
            }
            servers => write!(f, "{}", by_server(servers))?,
        }
        write!(f, "\n{}", self.sessions)?;
        let table = by_application(&self.applications);
        if !table.is_empty() {
            write!(f, "\n\n{table}")?;
        }
        for unseen in &self.unseen {
            write!(f, "\nnot seen: {unseen}: {}", unseen.why)?;
        }
        Ok(())
    }
}

fn by_server(servers: &[ServerActivity]) -> Table<5> {
    let mut table = Table::new(["server", "PostgreSQL", "connections", "sessions", "active"]);
    for of in servers {
        let figures = match &of.reading {
            Some(reading) => {
                let Connections { max, used, .. } = reading.connections;
                let [total, active] = [reading.sessions.total, reading.sessions.active];
                let version = reading.server_version.clone();
                [version, format!("{used} of {max}"), total.to_string(), active.to_string()]
            }
            None => ["not read", "-", "-", "-"].map(ToOwned::to_owned),
        };
        let [version, connections, sessions, active] = figures;
        table.row([of.server.to_string(), version, connections, sessions, active]);
    }
    table
}

fn by_application(applications: &[ApplicationActivity]) -> Table<5> {
    let mut table = Table::new(["application", "sessions", "active", "waiting", "idle in tx"]);
    for of in applications {
        let counts = of.sessions;
        let counts = [counts.total, counts.active, counts.waiting, counts.idle_in_transaction];
        let [total, active, waiting, in_transaction] = counts.map(|count| count.to_string());
        table.row([of.application.clone(), total, active, waiting, in_transaction]);
    }
    table
}
