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
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it says whether the database can be reached"]
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
    /// Why nothing is served, where it takes a change of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Tenants in the report.
    pub total_pools: usize,
    /// Those of them that are degraded.
    pub degraded_pools: usize,
    /// Those of them that are unhealthy.
    pub unhealthy_pools: usize,
    /// When the check began.
    #[serde(serialize_with = "timestamp::serialize")]
    pub timestamp: SystemTime,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    pub duration: Duration,
}

/// How one tenant fares.
#[derive(Debug, Clone, Serialize)]
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
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SharedHealth {
    /// How it fares.
    pub status: HealthStatus,
    /// How long it took to answer, a connection included; nothing when it did not or was not asked.
    #[serde(rename = "responseTimeMs", serialize_with = "serialize_optional_millis")]
    pub response_time: Option<Duration>,
    /// What is wrong, where that is known. Never in the database's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

impl HealthReport {
    /// Takes the tenants out and leaves their numbers: for whoever must not learn their names.
    pub fn without_tenants(mut self) -> Self {
        self.pools.clear();
        self
    }
}
