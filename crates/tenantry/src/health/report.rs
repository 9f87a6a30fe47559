use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::HealthStatus;
use crate::{
    citus::CitusNodeKind,
    event::{BreakerState, ReplicaState, serialize_millis, serialize_optional_millis},
    pool::Pooling,
    tenant::TenantId,
    timestamp,
};

/// Health of the manager and its tenants.
///
/// Its JSON form is the response of a health endpoint:
///
/// ```json
/// {
///   "healthy": true,
///   "status": "ok",
///   "pools": [
///     { "tenantId": "acme", "status": "ok", "totalConnections": 5, "idleConnections": 3, "waitingRequests": 0 }
///   ],
///   "sharedDb": { "status": "ok", "responseTimeMs": 1.2 },
///   "breaker": "closed",
///   "pooling": "session",
///   "totalPools": 1,
///   "degradedPools": 0,
///   "unhealthyPools": 0,
///   "timestamp": "2026-01-15T10:30:00.000Z",
///   "durationMs": 1.5
/// }
/// ```
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it says whether the database can be reached"]
#[cfg_attr(
    feature = "schemars",
    schemars(description = "The state of the manager and its tenants.")
)]
pub struct HealthReport {
    /// Whether requests can be served: the database answers, the circuit breaker is not open, no
    /// pooler in transaction mode was found, the process has a part of the shared budget if there is
    /// one, and the manager is not closing. It does not depend on any single tenant, nor on any
    /// server but the main one.
    pub healthy: bool,
    /// The worst status of everything that affects all tenants: the shared database, the breaker,
    /// the load. Another server in trouble makes it degraded at most.
    pub status: HealthStatus,
    /// The tenants.
    pub pools: Vec<TenantHealth>,
    /// The servers, the main one first, if the manager has [several](crate::ManagerBuilder::server).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<ServerHealth>,
    /// The [read replicas](crate::ManagerBuilder::replica), as reads have found them last. One that cannot be used
    /// is no trouble of the rest: the primary answers instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaHealth>,
    /// The servers with Citus, as the first check has found them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub citus: Vec<CitusHealth>,
    /// The shared database, unless excluded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_db: Option<SharedHealth>,
    /// The state of the circuit breaker.
    pub breaker: BreakerState,
    /// Whether sessions are known to be kept separate between the manager and the server.
    /// [`Pooling::Unknown`] has no effect on the rest of the report; [`Pooling::Transaction`] makes
    /// it unhealthy.
    pub pooling: Pooling,
    /// The reason why nothing is served, if it requires a configuration change; what is wrong with
    /// the process's part of a shared budget; `saturated` if requests wait because tenants use every
    /// connection available to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The holders of the connections, while the pool is saturated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saturation: Option<Saturation>,
    /// Number of tenants in the report.
    pub total_pools: usize,
    /// Number of degraded tenants.
    pub degraded_pools: usize,
    /// Number of unhealthy tenants.
    pub unhealthy_pools: usize,
    /// When the check began.
    #[serde(serialize_with = "timestamp::serialize")]
    #[cfg_attr(feature = "schemars", schemars(with = "String", extend("format" = "date-time")))]
    pub timestamp: SystemTime,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// The reason in the report of a saturated pool.
pub(crate) const SATURATED: &str = "saturated";

/// Tenants use every connection available to them, and requests wait.
///
/// Hold times of milliseconds mean that the load exceeds the budget. A hold time of many seconds is
/// a statement that does not end, or a transaction that is kept open.
///
/// ```json
/// {
///   "places": 8, "waiting": 12,
///   "holders": [{ "tenantId": "acme", "what": "tenant", "connections": 6, "longestHoldMs": 31250.0 }]
/// }
/// ```
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[cfg_attr(
    feature = "schemars",
    schemars(
        description = "Tenants use all connections available to them, and requests are waiting."
    )
)]
pub struct Saturation {
    /// Connections that tenants, the shared handle and maintenance can use together: the budget
    /// without the reserve and the connection that listens for catalog changes.
    pub places: usize,
    /// Number of waiting requests.
    pub waiting: usize,
    /// The five largest holders, in descending order of connections.
    pub holders: Vec<Holder>,
}

/// A holder of connections.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Holder {
    /// The tenant. Absent if names are hidden, and for a tenant that was evicted meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// `tenant`, `shared` for the shared handle, or `upkeep` for migrations, provisioning and
    /// seeds.
    pub what: &'static str,
    /// Number of its connections, including those being cleaned up after it.
    pub connections: usize,
    /// The longest time that it has held one of them.
    #[serde(rename = "longestHoldMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub longest_hold: Duration,
}

/// Health of one of several servers.
///
/// One that is away concerns its own tenants: see [`HealthReport::healthy`].
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerHealth {
    /// The name of the server.
    pub server: Arc<str>,
    /// Its status.
    pub status: HealthStatus,
    /// Response time, including the acquire; `None` if it did not answer or was not asked.
    #[serde(rename = "responseTimeMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub response_time: Option<Duration>,
    /// The state of its circuit breaker.
    pub breaker: BreakerState,
    /// Whether sessions are known to be kept separate between the manager and the server.
    pub pooling: Pooling,
    /// The version of PostgreSQL, such as `17.2`; `None` before the first connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// The problem, if known. Never contains text from the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The holders of its connections, while its pool is saturated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saturation: Option<Saturation>,
}

/// A read replica, as reads have found it last.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReplicaHealth {
    /// The name of the replica, such as `main/replica-1`.
    pub replica: Arc<str>,
    /// What it was good for.
    pub state: ReplicaState,
    /// How many bytes of the log it had not replayed, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<u64>,
}

/// A server whose database has the extension Citus.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CitusHealth {
    /// The name of the server.
    pub server: Arc<str>,
    /// The version of the extension, such as `13.2`.
    pub version: String,
    /// Whether it is the coordinator or a worker.
    pub node: CitusNodeKind,
}

/// Health of one tenant.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantHealth {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The name of its server, if the manager has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// Its status.
    pub status: HealthStatus,
    /// Number of connections bound to it.
    pub total_connections: usize,
    /// Number of those that are idle.
    pub idle_connections: usize,
    /// Number of its requests that wait.
    pub waiting_requests: usize,
    /// The problem, if known. Never contains text from the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// Health of the shared database.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SharedHealth {
    /// Its status.
    pub status: HealthStatus,
    /// Response time, including the acquire; `None` if it did not answer or was not asked.
    #[serde(rename = "responseTimeMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub response_time: Option<Duration>,
    /// The problem, if known. Never contains text from the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

impl HealthReport {
    /// Removes the tenants but keeps their counts, for readers who must not learn the names. Removes the versions of
    /// servers and of Citus, too.
    pub fn without_tenants(mut self) -> Self {
        self.pools.clear();
        self.servers.iter_mut().for_each(|of| of.server_version = None);
        self.citus.clear();
        let of_servers = self.servers.iter_mut().filter_map(|of| of.saturation.as_mut());
        for saturation in self.saturation.iter_mut().chain(of_servers) {
            saturation.holders.iter_mut().for_each(|holder| holder.tenant_id = None);
        }
        self
    }
}
