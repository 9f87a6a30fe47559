use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::HealthStatus;
use crate::{
    event::{BreakerState, serialize_millis, serialize_optional_millis},
    pool::Pooling,
    tenant::TenantId,
    timestamp,
};

/// How the manager and its tenants fare.
///
/// As JSON it is what a health endpoint answers with:
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
    /// Whether requests can be served: the database answers, connections are being opened, no pooler
    /// in transaction mode was found, and the manager is not closing. No single tenant changes it.
    pub healthy: bool,
    /// The worst of all that concerns everybody: the shared database, the breaker, the load.
    pub status: HealthStatus,
    /// The tenants.
    pub pools: Vec<TenantHealth>,
    /// The shared database, unless it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_db: Option<SharedHealth>,
    /// Whether connections are being opened.
    pub breaker: BreakerState,
    /// Whether tenants' sessions are known to be kept apart between the manager and the server.
    /// [`Pooling::Unknown`] changes nothing else in the report; [`Pooling::Transaction`] makes it
    /// unhealthy.
    pub pooling: Pooling,
    /// Why nothing is served, where it takes a change of the configuration; `saturated` where requests
    /// wait because tenants have every connection that they can have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Who has the connections, while the pool is saturated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saturation: Option<Saturation>,
    /// Tenants in the report.
    pub total_pools: usize,
    /// Those of them that are degraded.
    pub degraded_pools: usize,
    /// Those of them that are unhealthy.
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

/// The reason in the report of a pool that is saturated.
pub(crate) const SATURATED: &str = "saturated";

/// Tenants have every connection that they can have, and requests wait.
///
/// Holds of milliseconds mean that there is more to do than the budget allows. A hold of many seconds is
/// a statement without an end, or a transaction that somebody keeps open.
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
    schemars(description = "Tenants have every connection that they can have, and requests wait.")
)]
pub struct Saturation {
    /// Connections that tenants, the shared handle and upkeep can have together: the budget without
    /// the reserve and the connection that listens to the catalog.
    pub places: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// The five who have most, the one with the most connections first.
    pub holders: Vec<Holder>,
}

/// Who has connections, and for how long.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Holder {
    /// The tenant. Absent where names are not told, and for a tenant that was evicted meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// `tenant`, `shared` for the shared handle, or `upkeep` for migrations, provisioning and seeds.
    pub what: &'static str,
    /// Connections that it has now, those that are being cleaned after it included.
    pub connections: usize,
    /// How long it has had the one that it has had longest.
    #[serde(rename = "longestHoldMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub longest_hold: Duration,
}

/// How one tenant fares.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantHealth {
    /// The tenant.
    pub tenant_id: TenantId,
    /// How it fares.
    pub status: HealthStatus,
    /// Connections bound to it.
    pub total_connections: usize,
    /// Those of them that nobody has.
    pub idle_connections: usize,
    /// Requests of it that wait.
    pub waiting_requests: usize,
    /// What is wrong, where that is known. Never in the database's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// How the shared database fares.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SharedHealth {
    /// How it fares.
    pub status: HealthStatus,
    /// How long it took to answer, a connection included; nothing when it did not or was not asked.
    #[serde(rename = "responseTimeMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub response_time: Option<Duration>,
    /// What is wrong, where that is known. Never in the database's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

impl HealthReport {
    /// Takes the tenants out and leaves their numbers: for whoever must not learn their names.
    pub fn without_tenants(mut self) -> Self {
        self.pools.clear();
        if let Some(saturation) = &mut self.saturation {
            saturation.holders.iter_mut().for_each(|holder| holder.tenant_id = None);
        }
        self
    }
}
