//! The record of a move.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{MoveMethod, MoveStage, id::MoveId, places::Places};
use crate::{
    event::serialize_millis,
    tenant::{IsolationKind, TenantId},
    timestamp,
};

/// A move, as it is recorded in the table `tenantry_moves` of the shared schema.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MoveRecord {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The server that it was on before.
    #[serde(rename = "fromServer")]
    pub from: Arc<str>,
    /// The server that it moves to.
    #[serde(rename = "toServer")]
    pub to: Arc<str>,
    /// How it was kept apart before.
    pub from_isolation: IsolationKind,
    /// How it is kept apart after the move.
    pub to_isolation: IsolationKind,
    /// The schema with its tables on the source.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// What stays on the source once the tenant has moved: the name of its schema, or its rows in words.
    pub kept_as: Arc<str>,
    /// How the rows get to the target.
    pub method: MoveMethod,
    /// The stage.
    pub stage: MoveStage,
    /// The process that works on it, or did last.
    pub owner: Arc<str>,
    /// How often the move was begun or taken over.
    pub attempt: u64,
    /// Whether it was cancelled.
    pub is_cancelled: bool,
    /// Whether its mover was silent for so long that another process may take over.
    pub is_abandoned: bool,
    /// Bytes of the tenant's tables and indexes, before the move.
    pub bytes: u64,
    /// Why it is undone, or what keeps it from going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Arc<str>>,
    /// When it began.
    #[serde(serialize_with = "timestamp::serialize_optional")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub began_at: Option<SystemTime>,
    /// When it was done or undone.
    #[serde(serialize_with = "timestamp::serialize_optional")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub ended_at: Option<SystemTime>,
    /// When the schema on the source may be dropped.
    #[serde(serialize_with = "timestamp::serialize_optional")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub keep_until: Option<SystemTime>,
    /// When the schema on the source was dropped.
    #[serde(serialize_with = "timestamp::serialize_optional")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub swept_at: Option<SystemTime>,
    #[serde(skip)]
    pub(super) of: Inner,
}

/// What only a mover needs to know.
#[derive(Debug, Clone)]
pub(super) struct Inner {
    pub(super) id: MoveId,
    pub(super) places: Places,
    /// The number of the placement before.
    pub(super) epoch: u64,
    pub(super) tries: u32,
    pub(super) fence_tries: u32,
    pub(super) verify: bool,
    pub(super) take_over_after: Duration,
}

/// The result of a move.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MoveReport {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The server that it was on.
    #[serde(rename = "fromServer")]
    pub from: Arc<str>,
    /// The server that it is on.
    #[serde(rename = "toServer")]
    pub to: Arc<str>,
    /// How it was kept apart.
    pub from_isolation: IsolationKind,
    /// How it is kept apart.
    pub to_isolation: IsolationKind,
    /// The schema that had its tables.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// The schema that has its tables.
    #[serde(rename = "toSchemaName")]
    pub to_schema: Arc<str>,
    /// The database of its own that it is in.
    #[serde(rename = "toDatabase", skip_serializing_if = "Option::is_none")]
    pub to_database: Option<Arc<str>>,
    /// What stays on the source: the name of its schema from now on, or its rows in words. `Mover::sweep` removes it once
    /// its time is over.
    pub kept_as: Arc<str>,
    /// How the rows got to the target.
    pub method: MoveMethod,
    /// Rows that were copied by this process.
    pub rows: u64,
    /// Tables whose rows were copied by this process.
    pub tables: usize,
    /// How long requests waited, if this process has made them wait: from when the state became `cutover` to when the
    /// tenant was active again; the last time, if there were several.
    #[serde(rename = "pauseMs", serialize_with = "crate::event::serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub pause: Option<Duration>,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// Why the rows were copied while requests waited, and not by logical replication; empty if they were not, another way
    /// was asked for, or another process has begun the move.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_replicated: Vec<String>,
    /// Why changes were not logged instead; empty if they were, a copy was short, or as above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_logged: Vec<String>,
    /// What is still to be done on the target, if tidying up has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
    /// Limitations of the copy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

impl std::fmt::Display for MoveReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            tenant_id,
            from,
            to,
            to_schema,
            to_database,
            kept_as,
            method,
            rows,
            tables,
            pause,
            duration,
            ..
        } = self;
        let (was, is) = (self.from_isolation, self.to_isolation);
        let word = if *tables == 1 { "table" } else { "tables" };
        write!(f, "moved tenant {tenant_id} {}", Between { from, was, to, is })?;
        write!(f, " by {method}: schema {to_schema}")?;
        if let Some(database) = to_database {
            write!(f, " in database {database}")?;
        }
        // With replication, the target's server has copied them.
        if *method != MoveMethod::Replication {
            write!(f, ", {rows} rows in {tables} {word}")?;
        }
        write!(f, " in {duration:.1?}")?;
        if let Some(pause) = pause {
            write!(f, "; requests waited for {pause:.1?}")?;
        }
        match was {
            IsolationKind::Row => write!(f, "\nnote: {from} keeps the {kept_as}")?,
            IsolationKind::Database => {
                write!(f, "\nnote: {from} keeps the database, with the schema {kept_as}")?
            }
            _ => write!(f, "\nnote: the schema is kept on {from} as {kept_as}")?,
        }
        for reason in &self.not_replicated {
            write!(f, "\nnote: logical replication was not used: {reason}")?;
        }
        for reason in &self.not_logged {
            write!(f, "\nnote: changes were not logged: {reason}")?;
        }
        if let Some(left) = &self.left {
            write!(f, "\nnote: {left}")?;
        }
        self.remarks.iter().try_for_each(|remark| write!(f, "\nnote: {remark}"))
    }
}

/// What a move would do.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MovePlan {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The server that it is on.
    #[serde(rename = "fromServer")]
    pub from: Arc<str>,
    /// The server that it would move to.
    #[serde(rename = "toServer")]
    pub to: Arc<str>,
    /// How it is kept apart.
    pub from_isolation: IsolationKind,
    /// How it would be kept apart.
    pub to_isolation: IsolationKind,
    /// The schema with its tables.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// The schema that would have its tables.
    #[serde(rename = "toSchemaName")]
    pub to_schema: Arc<str>,
    /// The database of its own that it would be in.
    #[serde(rename = "toDatabase", skip_serializing_if = "Option::is_none")]
    pub to_database: Option<Arc<str>>,
    /// How the rows would get to the target.
    pub method: MoveMethod,
    /// Bytes of its tables and indexes.
    pub bytes: u64,
    /// Bytes per second that a sample copy has reached; `None` if there are too few rows.
    pub bytes_per_second: Option<f64>,
    /// How long requests would wait.
    #[serde(rename = "pauseMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub pause: Duration,
    /// Why logical replication is not used, unless it is, or another way was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_replicated: Vec<String>,
    /// Why requests would wait for a long copy of rows, instead of changes being logged meanwhile. Empty if they would not,
    /// or another way was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_logged: Vec<String>,
    /// What prevents the move.
    pub obstacles: Vec<super::Obstacle>,
    /// Limitations of the copy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

impl std::fmt::Display for MovePlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tenant_id, from, to, schema, method, bytes, pause, obstacles, .. } = self;
        let between = Between { from, was: self.from_isolation, to, is: self.to_isolation };
        write!(f, "tenant {tenant_id}: schema {schema} {between}")?;
        if self.to_schema != *schema {
            write!(f, " as schema {}", self.to_schema)?;
        }
        if let Some(database) = &self.to_database {
            write!(f, " in database {database}")?;
        }
        write!(f, " by {method}, {bytes} bytes")?;
        write!(f, "; requests would wait for about {pause:.1?}")?;
        obstacles.iter().try_for_each(|obstacle| write!(f, "\nobstacle: {obstacle}"))?;
        for reason in &self.not_replicated {
            write!(f, "\nnote: logical replication is not used: {reason}")?;
        }
        for reason in &self.not_logged {
            write!(f, "\nnote: changes are not logged: {reason}")?;
        }
        self.remarks.iter().try_for_each(|remark| write!(f, "\nnote: {remark}"))
    }
}

/// Two servers, with the kinds of isolation if these differ.
struct Between<'a> {
    from: &'a str,
    was: IsolationKind,
    to: &'a str,
    is: IsolationKind,
}

impl std::fmt::Display for Between<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, was, to, is } = self;
        match was == is {
            true => write!(f, "from {from} to {to}"),
            false => write!(f, "from {from} ({was}) to {to} ({is})"),
        }
    }
}

/// The result of removing what a tenant has left on a server.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Swept {
    /// The tenant that has moved.
    pub tenant_id: TenantId,
    /// The server that it has left.
    pub server: Arc<str>,
    /// What it has left there: the name of a schema, or rows in words.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// Why it is still there; `None` if it was removed.
    pub error: Option<String>,
}
