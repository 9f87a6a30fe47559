//! The activity of a database at an instant.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::TopStatement;
use crate::{
    event::{serialize_millis, serialize_optional_millis},
    table::Table,
    timestamp,
};

/// What PostgreSQL says of the load on the manager's database, at an instant.
///
/// As text it is a summary for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Activity {
    /// When it was read, by the server's clock.
    #[serde(serialize_with = "timestamp::serialize")]
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub at: SystemTime,
    /// How long reading it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// The version of the server, such as `17.2`.
    pub server_version: String,
    /// Connections against the server's limits.
    pub connections: Connections,
    /// All sessions of clients in this database but the one that asked.
    pub sessions: SessionCounts,
    /// The same by `application_name`, Tenantry's processes first, as `tenantry/<instance>`.
    pub applications: Vec<ApplicationActivity>,
    /// The same by tenant, where sessions [are named](crate::PoolOptions::name_tenants) after theirs.
    pub tenants: Vec<TenantActivity>,
    /// What active sessions wait for, the most frequent first.
    pub waits: Vec<Wait>,
    /// Sessions that wait for a lock, and who holds it or is before them.
    pub blocked: Vec<Blocked>,
    /// Statements that have been running for longer than
    /// [`slow_after`](super::ActivityOptions::slow_after), the longest first.
    pub slow: Vec<SlowStatement>,
    /// Totals of the database since its statistics were reset.
    pub database: DatabaseTotals,
    /// Statements that have taken the most time, where they were asked for and `pg_stat_statements` can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statements: Option<Vec<TopStatement>>,
    /// What could not be seen: its absence above means nothing.
    pub unseen: Vec<Unseen>,
}

/// Connections against the server's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Connections {
    /// The server's `max_connections`.
    pub max: u32,
    /// How many of them are kept for superusers and for members of `pg_use_reserved_connections`.
    pub reserved: u32,
    /// How many clients have, in all databases of the server.
    pub used: u32,
}

/// Sessions by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SessionCounts {
    /// All of them.
    pub total: usize,
    /// Sessions that run a statement.
    pub active: usize,
    /// Those of the active ones that wait, such as for a lock or for the disk.
    pub waiting: usize,
    /// Sessions that wait for a statement, outside a transaction.
    pub idle: usize,
    /// Sessions that wait for a statement in a transaction, a failed one included.
    pub idle_in_transaction: usize,
    /// Sessions whose state is not known, such as those of other roles.
    pub unknown: usize,
}

/// The sessions of one application.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplicationActivity {
    /// The `application_name`, without a tenant behind it. Empty where there is none, or it cannot be seen.
    pub application: String,
    /// Whether it is a process of Tenantry's.
    pub is_tenantry: bool,
    /// Its sessions.
    pub sessions: SessionCounts,
    /// How long its longest open transaction has lasted.
    #[serde(rename = "longestTransactionMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub longest_transaction: Option<Duration>,
    /// How long its longest statement has been running.
    #[serde(rename = "longestStatementMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub longest_statement: Option<Duration>,
}

/// The sessions that are bound to one tenant, of all processes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantActivity {
    /// The tenant.
    pub tenant_id: String,
    /// Whether that may be the beginning of a longer id alone: an `application_name` has 63 bytes.
    pub is_cut: bool,
    /// Its sessions.
    pub sessions: SessionCounts,
    /// How long its longest open transaction has lasted.
    #[serde(rename = "longestTransactionMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub longest_transaction: Option<Duration>,
    /// How long its longest statement has been running.
    #[serde(rename = "longestStatementMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub longest_statement: Option<Duration>,
}

/// Something that active sessions wait for, in PostgreSQL's
/// [words](https://www.postgresql.org/docs/current/monitoring-stats.html#WAIT-EVENT-TABLE).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Wait {
    /// What kind of event it is, such as `Lock`.
    pub event_type: String,
    /// The event, such as `transactionid`.
    pub event: String,
    /// How many sessions wait for it.
    pub sessions: usize,
}

/// A session that waits for a lock.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Blocked {
    /// The process id of its server process.
    pub pid: i32,
    /// Its application.
    pub application: String,
    /// The tenant that it is bound to, where its name tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// What the lock is on, such as `relation`.
    pub lock: String,
    /// How long the statement that waits has been running.
    #[serde(rename = "runningMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub running: Duration,
    /// The server processes that it waits for. Zero stands for a prepared transaction.
    pub by: Vec<i32>,
}

/// A statement that has been running for long.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SlowStatement {
    /// The process id of its server process.
    pub pid: i32,
    /// Its application.
    pub application: String,
    /// The tenant that its session is bound to, where its name tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The role that is logged in.
    pub user: String,
    /// How long it has been running.
    #[serde(rename = "runningMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub running: Duration,
    /// What it waits for, such as `Lock: relation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    /// The text of the statement, [cut](super::ActivityOptions::text_length).
    pub text: String,
}

/// Totals of a database since its statistics were reset; `pg_stat_database` of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DatabaseTotals {
    /// Transactions that were committed.
    pub commits: i64,
    /// Transactions that were rolled back.
    pub rollbacks: i64,
    /// Blocks that were read from outside the server's own cache.
    pub blocks_read: i64,
    /// Blocks that were found in it.
    pub blocks_hit: i64,
    /// Rows that queries have read.
    pub rows_returned: i64,
    /// Rows that were inserted, updated or deleted.
    pub rows_changed: i64,
    /// Bytes that were written to temporary files.
    pub temp_bytes: i64,
    /// Deadlocks.
    pub deadlocks: i64,
    /// When the totals were last reset, in microseconds since 1970; `None` for never.
    #[serde(skip)]
    pub(super) reset: Option<i64>,
}

/// Something that could not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why, and how it can be seen.
    pub why: String,
}

impl Unseen {
    pub(super) fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
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
        let Connections { max, reserved, used } = self.connections;
        writeln!(
            f,
            "PostgreSQL {}: {used} of {max} connections, {reserved} reserved",
            self.server_version
        )?;
        write!(f, "{}", self.sessions)?;
        let mut table = Table::new(["application", "sessions", "active", "waiting", "idle in tx"]);
        for of in &self.applications {
            let counts = of.sessions;
            let counts = [counts.total, counts.active, counts.waiting, counts.idle_in_transaction];
            let [total, active, waiting, in_transaction] = counts.map(|count| count.to_string());
            table.row([of.application.clone(), total, active, waiting, in_transaction]);
        }
        if !table.is_empty() {
            write!(f, "\n\n{table}")?;
        }
        for Unseen { what, why } in &self.unseen {
            write!(f, "\nnot seen: {what}: {why}")?;
        }
        Ok(())
    }
}
