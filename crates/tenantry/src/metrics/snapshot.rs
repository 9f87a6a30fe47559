use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use serde::Serialize;

use super::UpkeepMetrics;
use crate::{
    event::BreakerState,
    pool::PoolSnapshot,
    tenant::{MAIN, TenantId},
    timestamp,
};

/// Metrics of the pool at an instant, for serialization.
///
/// ```json
/// {
///   "pools": {
///     "total": 2,
///     "maxPools": 10000,
///     "tenants": [
///       { "tenantId": "acme", "schemaName": "tenant_acme", "connections": { "total": 3, "idle": 2, "waiting": 0 } }
///     ]
///   },
///   "shared": { "initialized": true, "connections": { "total": 1, "idle": 1, "waiting": 0 } },
///   "connections": { "total": 5, "idle": 4, "waiting": 0 },
///   "maxConnections": 20,
///   "upkeep": {
///     "migrations": { "doubtful": 0, "failed": 0, "forgotten": 0, "marked": 0, "migrated": 2, "reverted": 0, "skipped": 0, "up_to_date": 0 },
///     "creations": { "at_once": 1, "clone": 0, "failed": 0, "import": 0, "in_steps": 0, "resumed": 0, "rows": 0, "spare": 0, "template": 0 },
///     "moves": { "moved": 0, "undone": 0, "unfinished": 0 },
///     "movesInProgress": 0,
///     "tenants": { "active": 2, "suspended": 0 },
///     "sparesReady": 0
///   },
///   "timestamp": "2026-01-15T10:30:00.000Z"
/// }
/// ```
///
/// [`PoolSnapshot`] also contains counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[cfg_attr(feature = "schemars", schemars(description = "The pool in figures, at one instant."))]
pub struct Metrics {
    /// The tenant pools.
    pub pools: PoolsMetrics,
    /// The shared schema.
    pub shared: SharedMetrics,
    /// All connections.
    pub connections: ConnectionCounts,
    /// The budget.
    pub max_connections: usize,
    /// The servers by name, if there are [several](crate::ManagerBuilder::server); the other figures of pools are
    /// those of the main one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub servers: BTreeMap<String, ServerMetrics>,
    /// Operations on whole tenants.
    pub upkeep: UpkeepMetrics,
    /// The time of the snapshot.
    #[serde(serialize_with = "timestamp::serialize")]
    #[cfg_attr(feature = "schemars", schemars(with = "String", extend("format" = "date-time")))]
    pub timestamp: SystemTime,
}

/// Metrics of one of several servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerMetrics {
    /// Its tenant pools.
    pub pools: PoolsMetrics,
    /// Its connections.
    pub connections: ConnectionCounts,
    /// Its budget.
    pub max_connections: usize,
    /// The state of its circuit breaker.
    pub breaker: BreakerState,
}

/// Metrics of the tenant pools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PoolsMetrics {
    /// Number of tenant pools.
    pub total: usize,
    /// Maximum number of tenant pools, not counting those in use.
    pub max_pools: usize,
    /// The tenant pools, by name.
    pub tenants: Vec<TenantMetrics>,
}

/// Metrics of one tenant pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantMetrics {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its schema.
    pub schema_name: Arc<str>,
    /// Its connections.
    pub connections: ConnectionCounts,
}

/// Metrics of the shared schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SharedMetrics {
    /// Whether the application has used it.
    pub initialized: bool,
    /// Its connections.
    pub connections: ConnectionCounts,
}

/// Numbers of connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectionCounts {
    /// Number of connections.
    pub total: usize,
    /// Number of those that are idle.
    pub idle: usize,
    /// Number of requests that wait for one.
    pub waiting: usize,
}

impl Metrics {
    /// Creates metrics of the main server's pool, and of those of further servers by their names.
    pub(crate) fn new(
        main: &PoolSnapshot,
        further: &BTreeMap<String, PoolSnapshot>,
        upkeep: UpkeepMetrics,
        timestamp: SystemTime,
    ) -> Self {
        let mut servers = BTreeMap::<_, ServerMetrics>::new();
        if !further.is_empty() {
            servers.insert(MAIN.to_owned(), main.into());
            servers.extend(further.iter().map(|(name, pool)| (name.clone(), pool.into())));
        }
        let ServerMetrics { pools, connections, max_connections, .. } = main.into();
        let shared = SharedMetrics {
            initialized: main.shared.is_some(),
            connections: main.shared.map_or_else(ConnectionCounts::default, |of| {
                ConnectionCounts::new(of.total, of.idle, of.waiting)
            }),
        };
        Self { pools, shared, connections, max_connections, servers, upkeep, timestamp }
    }
}

impl ConnectionCounts {
    fn new(total: usize, idle: usize, waiting: usize) -> Self {
        Self { total, idle, waiting }
    }
}

impl From<&PoolSnapshot> for ServerMetrics {
    fn from(pool: &PoolSnapshot) -> Self {
        let tenants = pool.tenants.iter().map(|of| TenantMetrics {
            connections: ConnectionCounts::new(of.total, of.idle, of.waiting),
            tenant_id: of.tenant.clone(),
            schema_name: Arc::clone(&of.schema),
        });
        let mut tenants: Vec<_> = tenants.collect();
        tenants.sort_unstable_by(|one, other| one.tenant_id.cmp(&other.tenant_id));
        Self {
            pools: PoolsMetrics {
                total: pool.tenant_pools,
                max_pools: pool.max_tenant_pools,
                tenants,
            },
            connections: ConnectionCounts::new(pool.total, pool.idle, pool.waiting),
            max_connections: pool.max,
            breaker: pool.breaker,
        }
    }
}
