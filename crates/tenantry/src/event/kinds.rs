use std::{sync::Arc, time::Duration};

use serde::{Serialize, Serializer};

use super::{BreakerState, EvictReason};
use crate::{error::ErrorClass, tenant::TenantId};

/// Something that has happened.
///
/// Every event goes to [`tracing`](https://docs.rs/tracing), under the targets `tenantry::query`, `tenantry::pool`,
/// `tenantry::server`, `tenantry::migrate` and `tenantry::drift`, and to the [hooks](crate::ManagerBuilder::on_event) that asked for it. As JSON
/// it is an object with `type`, and durations in milliseconds; as text it is a line such as
/// `tenant=acme POOL_CREATED schema=tenant_acme`.
///
/// It never holds a bound value, a password or a URL. The texts of errors are the database's own:
/// they belong into a log and not into a response.
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
    /// A statement on a handle has ended. Level `DEBUG`.
    Query(Query),
    /// The same, when it took at least the
    /// [threshold](crate::EventOptions::slow_query_threshold). Level `WARN`.
    SlowQuery(Query),
    /// A connection or transaction that was handed out was held for at least that long. What ran on it
    /// is not known here. Level `WARN`.
    LongLease(LongLease),
    /// A tenant has asked for its first connection since it was last forgotten. Level `DEBUG`.
    PoolCreated(PoolCreated),
    /// A tenant pool was forgotten. Level `DEBUG`.
    PoolEvicted(PoolEvicted),
    /// A connection could not be opened, was lost, or could not be reset. Level `WARN`.
    PoolError(PoolError),
    /// A connection was bound to another tenant. Level `TRACE`.
    Rebind(Rebind),
    /// A tenant was warmed up, or was not. Level `DEBUG`.
    #[serde(rename = "warmup")]
    WarmUp(WarmedUp),
    /// Something is tried again. Level `WARN`.
    #[serde(rename = "connection_retry")]
    Retry(Retry),
    /// Opening connections was suspended, is probed, or goes on. Level `WARN` when it trips, `INFO` when
    /// it closes, `DEBUG` for the probes in between.
    Breaker(BreakerChange),
    /// A request has waited for a connection in vain. Level `WARN`.
    AcquireTimeout(AcquireTimeout),
    /// The catalog does not answer, and tenants that are known are served without it; or it answers
    /// again. Told once in an outage of at least a second. Level `WARN`, `INFO` when it ends.
    CatalogOutage(CatalogOutage),
    /// A tenant was migrated, or was to be. Level `INFO`, `WARN` when that failed.
    #[serde(rename = "migration")]
    Migrated(Migrated),
    /// A tenant's schema was found to differ from the reference in a way that it did not before. Level `WARN`.
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
    /// The schema in which names are looked up first.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// The text on one line, shortened. Never a bound value.
    #[serde(rename = "query")]
    pub statement: String,
    /// How long it ran, from when its connection was ready to when its last row was read, or its
    /// stream was dropped.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// Rows returned, or else affected.
    pub rows: u64,
    /// What went wrong, if anything did. A stream that is dropped between two rows has no error.
    pub error: Option<ErrorClass>,
}

/// A connection or transaction that was held for long.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LongLease {
    /// The tenant; `None` for the shared schema.
    pub tenant_id: Option<TenantId>,
    /// The schema in which names are looked up first.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// The process id of the session at the server.
    pub backend_pid: Option<i32>,
    /// How long it was held.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// A tenant pool that has begun.
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
}

/// A tenant pool that was forgotten.
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
    /// Why.
    pub reason: EvictReason,
}

/// A failure of a connection.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PoolError {
    /// The tenant that had the connection; `None` when it is the shared schema's or nobody's.
    pub tenant_id: Option<TenantId>,
    /// What was attempted.
    pub attempted: &'static str,
    /// What went wrong, coarsely.
    pub class: ErrorClass,
    /// What went wrong, in the database's or the system's own words.
    pub error: Arc<str>,
}

/// A connection that was bound to another tenant.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Rebind {
    /// The tenant that has it now; `None` for the shared schema.
    pub tenant_id: Option<TenantId>,
    /// The schema in which names are looked up first.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// A tenant that was warmed up, or was not.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WarmedUp {
    /// The tenant, as it was named; it may be no valid id.
    pub tenant_id: Arc<str>,
    /// What came of it, in snake case.
    pub status: &'static str,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// Something that is tried again.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Retry {
    /// What is tried again.
    pub of: RetryOf,
    /// The tenant that it is for, where it is for one.
    pub tenant_id: Option<TenantId>,
    /// How many attempts have failed.
    pub attempt: u32,
    /// How many there may be.
    pub max_attempts: u32,
    /// How long until the next.
    #[serde(rename = "delayMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub delay: Duration,
    /// What went wrong, coarsely.
    pub class: ErrorClass,
    /// What went wrong, in the database's or the system's own words.
    pub error: Arc<str>,
}

/// What is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RetryOf {
    /// Opening a connection.
    Connect,
    /// Asking the catalog.
    Catalog,
    /// Validating a handle.
    Ready,
}

impl RetryOf {
    pub(crate) const ALL: [Self; 3] = [Self::Connect, Self::Catalog, Self::Ready];

    /// Returns it in snake case, as metrics and events name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Catalog => "catalog",
            Self::Ready => "ready",
        }
    }
}

/// A change of the circuit breaker.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BreakerChange {
    /// The state that it is in now.
    pub state: BreakerState,
    /// How long until the server is probed, when it is open.
    #[serde(rename = "retryAfterMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub retry_after: Option<Duration>,
    /// Probes that have failed since it tripped.
    pub failed_probes: u32,
}

/// A request that has waited for a connection in vain.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AcquireTimeout {
    /// The tenant; `None` for the shared schema.
    pub tenant_id: Option<TenantId>,
    /// How long it has waited.
    #[serde(rename = "waitedMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub waited: Duration,
    /// What was in the way, for people: how many connections are in use, and by whom.
    pub reason: String,
}

/// A time in which the catalog does not answer and what is known is served.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CatalogOutage {
    /// Whether the catalog answers again.
    pub ended: bool,
    /// How long it has not answered so far, or how long it had not.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// What it answered instead, in the database's or the system's own words. `None` when it has not
    /// answered at all.
    pub error: Option<Arc<str>>,
}

/// A tenant that was migrated, or was to be.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Migrated {
    /// The tenant, as it was named; `None` is the shared schema.
    pub tenant_id: Option<Arc<str>>,
    /// Its schema, where that is known.
    #[serde(rename = "schemaName")]
    pub schema: Option<Arc<str>>,
    /// What came of it, in snake case.
    pub outcome: &'static str,
    /// Migrations that were done, whatever came afterwards.
    pub files: usize,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// Why it has failed, in the database's own words.
    pub error: Option<Arc<str>>,
}

/// A finding about a tenant's schema, or a reference across tenants, that was not there at the last comparison.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Drifted {
    /// The tenant, as it was named.
    pub tenant_id: Arc<str>,
    /// Its schema, where that is known.
    #[serde(rename = "schemaName")]
    pub schema: Option<Arc<str>>,
    /// What is different, or refers to another tenant, as a sentence.
    pub finding: Arc<str>,
}

impl Event {
    /// Returns the tenant that it is about, if it is about one.
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
            Self::Breaker(_) | Self::CatalogOutage(_) => None,
            Self::AcquireTimeout(of) => of.tenant_id.as_ref(),
            Self::Migrated(of) => return of.tenant_id.as_deref(),
            Self::Drifted(of) => return Some(&of.tenant_id),
        };
        id.map(TenantId::as_str)
    }
}

/// Milliseconds, which exist on the wire only.
pub(crate) fn as_millis(duration: Duration) -> f64 {
    // Three digits: what is below a microsecond is noise.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

pub(crate) fn serialize_millis<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(as_millis(*duration))
}

#[expect(clippy::ref_option, reason = "serde hands out a reference to the field")]
pub(crate) fn serialize_optional_millis<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration.map(as_millis).serialize(serializer)
}
