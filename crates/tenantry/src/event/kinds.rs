use std::{sync::Arc, time::Duration};

use serde::{Serialize, Serializer};

use super::{BreakerState, BudgetState, EvictReason, ReplicaState};
use crate::{error::ErrorClass, tenant::TenantId};

/// Something that happened.
///
/// Every event goes to [`tracing`](https://docs.rs/tracing), under the targets `tenantry::query`,
/// `tenantry::pool`, `tenantry::server`, `tenantry::migrate`, `tenantry::provision` and
/// `tenantry::drift`, and to the registered [hooks](crate::ManagerBuilder::on_event). As JSON it is an object with `type` and
/// with durations in milliseconds; as text it is a line such as
/// `tenant=acme POOL_CREATED schema=tenant_acme`.
///
/// It never contains a bound value, a password or a URL. Error texts come from the database
/// verbatim: write them to a log and not into a response.
///
/// # Examples
///
/// ```no_run
/// use tenantry::{Event, TenantManager};
///
/// # fn example(url: &str) -> Result<(), tenantry::ConfigError> {
/// let manager = TenantManager::builder(url)
///     .on_event(|event: Event| match serde_json::to_string(&event) {
///         Ok(line) => eprintln!("{line}"),
///         Err(error) => eprintln!("{error}"),
///     })
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
#[cfg_attr(feature = "schemars", schemars(description = "Something that has happened."))]
pub enum Event {
    /// A statement on a handle ended. Level `DEBUG`.
    Query(Query),
    /// A statement took at least the [threshold](crate::EventOptions::slow_query_threshold). Level
    /// `WARN`.
    SlowQuery(Query),
    /// A lease or transaction was held for at least the
    /// [threshold](crate::EventOptions::slow_query_threshold). The statements on it are not known
    /// here. Level `WARN`.
    LongLease(LongLease),
    /// A tenant acquired its first connection since its pool was last evicted. Level `DEBUG`.
    PoolCreated(PoolCreated),
    /// A tenant pool was evicted. Level `DEBUG`.
    PoolEvicted(PoolEvicted),
    /// A connect failed, or a connection was lost or could not be reset. Level `WARN`.
    PoolError(PoolError),
    /// A connection was bound to another tenant. Level `TRACE`.
    Rebind(Rebind),
    /// A tenant was warmed up, or could not be. Level `DEBUG`.
    #[serde(rename = "warmup")]
    WarmUp(WarmedUp),
    /// A failed operation is retried. Level `WARN`.
    #[serde(rename = "connection_retry")]
    Retry(Retry),
    /// The circuit breaker changed its state. Level `WARN` when it trips, `INFO` when it closes,
    /// `DEBUG` for the probes in between.
    Breaker(BreakerChange),
    /// The part of this process in a [shared budget](crate::ManagerBuilder::budget_shared_by) has another
    /// state. Level `INFO` when it is granted, `DEBUG` before the first answer, `WARN` otherwise.
    Budget(BudgetChange),
    /// A [replica](crate::ManagerBuilder::replica) has another state. Level `INFO` when it answers reads, `WARN`
    /// otherwise.
    Replica(ReplicaChange),
    /// A request timed out waiting for a connection. Level `WARN`.
    AcquireTimeout(AcquireTimeout),
    /// The catalog does not answer, and known tenants are served from the cache; or it answers
    /// again. Emitted once per outage of at least a second. Level `WARN`, `INFO` when it ends.
    CatalogOutage(CatalogOutage),
    /// A tenant's migration ended. Level `INFO`, `WARN` when it failed.
    #[serde(rename = "migration")]
    Migrated(Migrated),
    /// A stage of a [move](crate::moves) was recorded. Level `INFO`; `WARN` if a step has failed, and the move is undone
    /// or tries again.
    Move(MoveStep),
    /// A tenant's schema differs from the reference in a way that is new since the last comparison.
    /// Level `WARN`.
    Drifted(Drifted),
}

/// A statement that has ended.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Query {
    /// The tenant; `None` for the shared schema.
    pub tenant_id: Option<TenantId>,
    /// The first schema of the search path.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// The statement on one line, truncated. Never contains a bound value.
    #[serde(rename = "query")]
    pub statement: String,
    /// Duration from the time its connection was ready until its last row was read or its stream
    /// was dropped.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// Number of rows returned, otherwise of rows affected.
    pub rows: u64,
    /// Class of the error, if any. A stream that is dropped between two rows has no error.
    pub error: Option<ErrorClass>,
    /// The name of the server, if the manager has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// A lease or transaction that was held for a long time.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LongLease {
    /// The tenant; `None` for the shared schema.
    pub tenant_id: Option<TenantId>,
    /// The first schema of the search path.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// Process id of the server session.
    pub backend_pid: Option<i32>,
    /// How long it was held.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// The name of the server, if the manager has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// A tenant pool that was created.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PoolCreated {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its schema.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// The name of the server, if the manager has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// A tenant pool that was evicted.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PoolEvicted {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its schema.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// The reason.
    pub reason: EvictReason,
    /// The name of the server, if the manager has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// A failure of a connection.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PoolError {
    /// The tenant that had the connection; `None` for the shared schema or an unbound connection.
    pub tenant_id: Option<TenantId>,
    /// The operation that failed.
    pub attempted: &'static str,
    /// Class of the error.
    pub class: ErrorClass,
    /// The error text of the database or the operating system, verbatim.
    pub error: Arc<str>,
    /// The name of the server, if the manager has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// A connection that was bound to another tenant.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Rebind {
    /// The tenant that it is bound to now; `None` for the shared schema.
    pub tenant_id: Option<TenantId>,
    /// The first schema of the search path.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// The name of the server, if the manager has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// The result of warming up a tenant.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WarmedUp {
    /// The tenant id as given, which may be invalid.
    pub tenant_id: Arc<str>,
    /// The result, in snake case.
    pub status: &'static str,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// The name of the server, if the manager has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// A retry of a failed operation.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Retry {
    /// The operation that is retried.
    pub of: RetryOf,
    /// The tenant, if the operation is for one.
    pub tenant_id: Option<TenantId>,
    /// Number of failed attempts so far.
    pub attempt: u32,
    /// Maximum number of attempts.
    pub max_attempts: u32,
    /// Delay until the next attempt.
    #[serde(rename = "delayMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub delay: Duration,
    /// Class of the error.
    pub class: ErrorClass,
    /// The error text of the database or the operating system, verbatim.
    pub error: Arc<str>,
    /// The name of the server, if the manager has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// The kind of operation that is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RetryOf {
    /// Opening a connection.
    Connect,
    /// A catalog query.
    Catalog,
    /// Validation of a handle.
    Ready,
}

impl RetryOf {
    pub(crate) const ALL: [Self; 3] = [Self::Connect, Self::Catalog, Self::Ready];

    /// Returns the operation in snake case, as used in metrics and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Catalog => "catalog",
            Self::Ready => "ready",
        }
    }
}

/// A state change of the circuit breaker.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BreakerChange {
    /// The new state.
    pub state: BreakerState,
    /// Time until the server is probed, if the breaker is open.
    #[serde(rename = "retryAfterMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub retry_after: Option<Duration>,
    /// Number of failed probes since the breaker tripped.
    pub failed_probes: u32,
    /// The name of the server, if the manager has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// A request that timed out waiting for a connection.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AcquireTimeout {
    /// The tenant; `None` for the shared schema.
    pub tenant_id: Option<TenantId>,
    /// How long it waited.
    #[serde(rename = "waitedMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub waited: Duration,
    /// The cause in human-readable form: how many connections are in use, and by which tenants.
    pub reason: String,
    /// The name of the server, if the manager has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// A change of the part that a process has of a shared budget.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BudgetChange {
    /// The new state.
    pub state: BudgetState,
    /// Number of connections that the process may have now.
    pub connections: usize,
    /// Why the last beat failed, verbatim, if it did.
    pub error: Option<Arc<str>>,
    /// The name of the server, if the manager has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// A change of what a replica is good for.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReplicaChange {
    /// The new state.
    pub state: ReplicaState,
    /// How many bytes of the log it had not replayed, if that is known.
    pub lag_bytes: Option<u64>,
    /// The name of the replica, such as `main/replica-1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// An outage of the catalog, during which known tenants are served from the cache.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CatalogOutage {
    /// `true` if the catalog answers again.
    pub ended: bool,
    /// Duration of the outage, so far or in total.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// The catalog's error, verbatim. `None` if it has not answered at all.
    pub error: Option<Arc<str>>,
}

/// The result of migrating a tenant.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Migrated {
    /// The tenant id as given; `None` for the shared schema.
    pub tenant_id: Option<Arc<str>>,
    /// Its schema, if known.
    #[serde(rename = "schemaName")]
    pub schema: Option<Arc<str>>,
    /// The outcome, in snake case.
    pub outcome: &'static str,
    /// Number of migrations applied, even if a later one failed.
    pub files: usize,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// The error text of the database, verbatim, if it failed.
    pub error: Option<Arc<str>>,
    /// The server that it lives on, if the manager has [several](crate::ManagerBuilder::server) and it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// The database that it lives in, if that is not the one in the URL of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
}

/// A stage of a move that was recorded.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MoveStep {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The server that it leaves.
    #[serde(rename = "fromServer")]
    pub from: Arc<str>,
    /// The server that it moves to.
    #[serde(rename = "toServer")]
    pub to: Arc<str>,
    /// How the rows get to the target: [`MoveMethod`](crate::moves::MoveMethod) in snake case.
    pub method: &'static str,
    /// The stage: [`MoveStage`](crate::moves::MoveStage) in snake case.
    pub stage: &'static str,
    /// How long requests have waited, if they are served again since this stage, and this process has made them wait.
    #[serde(
        rename = "pauseMs",
        serialize_with = "serialize_optional_millis",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub pause: Option<Duration>,
    /// Why the move is undone or tries again, with the error text of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
    /// The server that the tenant is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// A finding about a tenant's schema, or a reference across tenants, that is new since the last
/// comparison.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Drifted {
    /// The tenant id as given.
    pub tenant_id: Arc<str>,
    /// Its schema, if known.
    #[serde(rename = "schemaName")]
    pub schema: Option<Arc<str>>,
    /// The difference, or the reference to another tenant, as a sentence.
    pub finding: Arc<str>,
    /// The server that it lives on, if the manager has [several](crate::ManagerBuilder::server) and it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// The database that it lives in, if that is not the one in the URL of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
}

impl Event {
    /// Returns the tenant of the event, if it has one.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        let id = match self {
            Self::Query(of) | Self::SlowQuery(of) => of.tenant_id.as_ref(),
            Self::LongLease(of) => of.tenant_id.as_ref(),
            Self::PoolCreated(of) => Some(&of.tenant_id),
            Self::PoolEvicted(of) => Some(&of.tenant_id),
            Self::PoolError(of) => of.tenant_id.as_ref(),
            Self::Rebind(of) => of.tenant_id.as_ref(),
            Self::WarmUp(of) => return Some(&of.tenant_id),
            Self::Retry(of) => of.tenant_id.as_ref(),
            Self::Breaker(_) | Self::Budget(_) | Self::Replica(_) | Self::CatalogOutage(_) => None,
            Self::AcquireTimeout(of) => of.tenant_id.as_ref(),
            Self::Migrated(of) => return of.tenant_id.as_deref(),
            Self::Move(of) => Some(&of.tenant_id),
            Self::Drifted(of) => return Some(&of.tenant_id),
        };
        id.map(TenantId::as_str)
    }

    /// Returns the name of the server on which it happened, or where its tenant lives, if the manager has
    /// [several](crate::ManagerBuilder::server).
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        let server = match self {
            Self::Query(of) | Self::SlowQuery(of) => &of.server,
            Self::LongLease(of) => &of.server,
            Self::PoolCreated(of) => &of.server,
            Self::PoolEvicted(of) => &of.server,
            Self::PoolError(of) => &of.server,
            Self::Rebind(of) => &of.server,
            Self::WarmUp(of) => &of.server,
            Self::Retry(of) => &of.server,
            Self::Breaker(of) => &of.server,
            Self::Budget(of) => &of.server,
            Self::Replica(of) => &of.server,
            Self::AcquireTimeout(of) => &of.server,
            Self::Migrated(of) => &of.server,
            Self::Move(of) => &of.server,
            Self::Drifted(of) => &of.server,
            Self::CatalogOutage(_) => &None,
        };
        server.as_deref()
    }

    /// Sets the server on which it happened.
    pub(super) fn on(mut self, name: &Arc<str>) -> Self {
        let server = match &mut self {
            Self::Query(of) | Self::SlowQuery(of) => &mut of.server,
            Self::LongLease(of) => &mut of.server,
            Self::PoolCreated(of) => &mut of.server,
            Self::PoolEvicted(of) => &mut of.server,
            Self::PoolError(of) => &mut of.server,
            Self::Rebind(of) => &mut of.server,
            Self::WarmUp(of) => &mut of.server,
            Self::Retry(of) => &mut of.server,
            Self::Breaker(of) => &mut of.server,
            Self::Budget(of) => &mut of.server,
            Self::Replica(of) => &mut of.server,
            Self::AcquireTimeout(of) => &mut of.server,
            // Told by the main server, wherever the tenant lives.
            Self::CatalogOutage(_) | Self::Migrated(_) | Self::Move(_) | Self::Drifted(_) => {
                return self;
            }
        };
        *server = Some(Arc::clone(name));
        self
    }
}

/// Converts to milliseconds, the unit of the JSON output.
pub(crate) fn as_millis(duration: Duration) -> f64 {
    // Three decimals: differences below a microsecond are noise.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

pub(crate) fn serialize_millis<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(as_millis(*duration))
}

/// Reads what [`serialize_millis`] writes.
pub(crate) fn deserialize_millis<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let millis = <f64 as serde::Deserialize>::deserialize(deserializer)?;
    Duration::try_from_secs_f64(millis / 1e3).map_err(serde::de::Error::custom)
}

#[expect(clippy::ref_option, reason = "serde hands out a reference to the field")]
pub(crate) fn serialize_optional_millis<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration.map(as_millis).serialize(serializer)
}
