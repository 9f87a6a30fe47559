use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;

use super::{Occupant, scheduler::TenantCounts};
use crate::{
    event::{BreakerState, EvictReason},
    tenant::TenantId,
};

/// The pool in numbers. The totals are those of one instant; the tenants are read a few hundred at a
/// time, so that nobody waits for it, and a tenant pool that begins or ends meanwhile may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// The budget.
    pub max: usize,
    /// Connections that exist or are being opened or closed.
    pub total: usize,
    /// Connections that nobody has.
    pub idle: usize,
    /// Connections that somebody has, or that are being cleaned after somebody had them.
    pub leased: usize,
    /// Those of them that tenants, the shared handle or upkeep have: all but the library's own.
    pub leased_to_tenants: usize,
    /// How many those can have at most: the budget without the reserve and the connection that listens
    /// to the catalog. When they have that many, the next one waits.
    pub places_for_tenants: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
    /// How acquires have ended so far.
    pub acquires: Acquires,
    /// How many tenant pools were forgotten so far, and why.
    pub evictions: BTreeMap<EvictReason, u64>,
    /// Whether connections are being opened.
    pub breaker: BreakerState,
    /// Connections that tenants have been given so far.
    pub granted_to_tenants: u64,
    /// Tenant pools that are remembered.
    pub tenant_pools: usize,
    /// Tenant pools that are remembered at most, those in use aside.
    pub max_tenant_pools: usize,
    /// The part of the pool that is bound to the shared schema now; `None` before its first use.
    pub shared: Option<SharedPoolSnapshot>,
    /// The part of the pool that is bound to each tenant now, in no particular order.
    pub tenants: Vec<TenantPoolSnapshot>,
}

/// How acquires have ended since the manager was built. Each is counted once, when it ends, those of
/// the library itself included. One that is dropped before is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Acquires {
    /// With a connection that was bound to the tenant already.
    pub hit: u64,
    /// With a connection that had to be bound anew.
    pub rebind: u64,
    /// With a connection that was opened, or that nobody was bound to.
    pub open: u64,
    /// The acquire timed out.
    pub timeout: u64,
    /// The acquire was refused: the queue was full, no connection could be opened, or none is opened
    /// at present.
    pub refused: u64,
    /// The acquire failed otherwise: the handle is stale, the session could not be bound to the
    /// tenant, or the manager is closed.
    pub failed: u64,
}

/// The part of the pool that is bound to one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantPoolSnapshot {
    /// The tenant.
    #[serde(rename = "tenantId")]
    pub tenant: TenantId,
    /// Its schema.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// Connections bound to it.
    pub total: usize,
    /// Those of them that nobody has.
    pub idle: usize,
    /// Requests of it that wait.
    pub waiting: usize,
    /// Connections that it has been given since the tenant pool began.
    pub acquires: u64,
}

/// The part of the pool that is bound to the shared schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SharedPoolSnapshot {
    /// Connections bound to it.
    pub total: usize,
    /// Those of them that nobody has.
    pub idle: usize,
    /// Requests for it that wait.
    pub waiting: usize,
}

impl TenantPoolSnapshot {
    /// Returns nothing for an occupant that is no tenant.
    pub(super) fn new(occupant: &Occupant, counts: TenantCounts) -> Option<Self> {
        Some(Self {
            tenant: occupant.tenant()?.clone(),
            schema: Arc::clone(&occupant.schema),
            total: counts.idle + counts.leased,
            idle: counts.idle,
            waiting: counts.waiting,
            acquires: counts.granted,
        })
    }
}

/// Who has connections of the pool now.
#[derive(Debug, Clone)]
pub(crate) struct Holding {
    /// Nobody when the tenant pool was evicted meanwhile.
    pub(crate) occupant: Option<Arc<Occupant>>,
    pub(crate) connections: usize,
    /// For how long it has had the one that it has had longest.
    pub(crate) longest: Duration,
}
