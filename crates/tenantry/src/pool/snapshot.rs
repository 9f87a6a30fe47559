use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;

use super::{occupant::Occupant, scheduler::TenantCounts};
use crate::{
    event::{BreakerState, BudgetState, EvictReason, serialize_optional_millis},
    tenant::TenantId,
};

/// A snapshot of the pool's counters. The totals are consistent; the tenants are read a few hundred
/// at a time, so that requests do not wait, and a tenant pool that is created or evicted meanwhile
/// may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// The budget.
    pub max: usize,
    /// Number of connections, including those being opened or closed.
    pub total: usize,
    /// Number of idle connections.
    pub idle: usize,
    /// Number of connections in use, or being cleaned up after use.
    pub leased: usize,
    /// Number of those leased to tenants, the shared handle or maintenance: all except the
    /// library's own.
    pub leased_to_tenants: usize,
    /// Maximum of the above: the budget without the reserve and the connection that listens for
    /// catalog changes. Beyond it, requests wait.
    pub places_for_tenants: usize,
    /// Number of requests that wait for a connection.
    pub waiting: usize,
    /// How acquires have ended so far.
    pub acquires: Acquires,
    /// Number of evicted tenant pools so far, by reason.
    pub evictions: BTreeMap<EvictReason, u64>,
    /// The state of the circuit breaker.
    pub breaker: BreakerState,
    /// Number of connections granted to tenants so far.
    pub granted_to_tenants: u64,
    /// Number of tenant pools.
    pub tenant_pools: usize,
    /// Maximum number of tenant pools, not counting those in use.
    pub max_tenant_pools: usize,
    /// The part of the pool that is currently bound to the shared schema; `None` before its first
    /// use.
    pub shared: Option<SharedPoolSnapshot>,
    /// The part of the pool that is currently bound to each tenant, in no particular order.
    pub tenants: Vec<TenantPoolSnapshot>,
    /// The part of this process in a shared budget, if it [shares](crate::ManagerBuilder::budget_shared_by) one;
    /// `max` then is what it may have now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetSnapshot>,
}

/// The part of a process in a [shared budget](crate::ManagerBuilder::budget_shared_by).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BudgetSnapshot {
    /// The name of the budget.
    pub name: Arc<str>,
    /// What the process has.
    pub state: BudgetState,
    /// The connections of all processes together.
    pub total: usize,
    /// The connections that this process may have; 0 if it may only ask.
    pub granted: usize,
    /// The connections that it wanted when it last asked.
    pub wanted: usize,
    /// The connections that it keeps whatever others want.
    pub floor: usize,
    /// How long the table took for the last answered beat: to read the rows of all processes and to
    /// write that of this one, again if another process wrote first. `None` before the first.
    #[serde(rename = "beatMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub beat: Option<Duration>,
}

/// How acquires have ended since the manager was built. Each is counted once, when it ends,
/// including those of the library itself. One that is dropped before is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Acquires {
    /// It got a connection that was already bound to the tenant.
    pub hit: u64,
    /// It got a connection that had to be bound to the tenant.
    pub rebind: u64,
    /// It got a new connection, or an unbound one.
    pub open: u64,
    /// The acquire timed out.
    pub timeout: u64,
    /// The acquire was refused: the queue was full, the connect failed, or connects are suspended.
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
    /// Number of connections bound to it.
    pub total: usize,
    /// Number of those that are idle.
    pub idle: usize,
    /// Number of its requests that wait.
    pub waiting: usize,
    /// Number of connections granted to it since the tenant pool was created.
    pub acquires: u64,
    /// Maximum number of connections that it may use at a time.
    #[serde(skip)]
    pub(crate) cap: usize,
}

/// The part of the pool that is bound to the shared schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SharedPoolSnapshot {
    /// Number of connections bound to it.
    pub total: usize,
    /// Number of those that are idle.
    pub idle: usize,
    /// Number of requests that wait for it.
    pub waiting: usize,
}

impl TenantPoolSnapshot {
    /// Returns `None` for an occupant that is not a tenant.
    pub(super) fn new(occupant: &Occupant, counts: TenantCounts) -> Option<Self> {
        Some(Self {
            tenant: occupant.tenant()?.clone(),
            schema: Arc::clone(occupant.schema()),
            total: counts.idle + counts.leased,
            idle: counts.idle,
            waiting: counts.waiting,
            acquires: counts.granted,
            cap: counts.cap,
        })
    }
}

/// A holder of connections of the pool.
#[derive(Debug, Clone)]
pub(crate) struct Holding {
    /// `None` if the tenant pool was evicted meanwhile.
    pub(crate) occupant: Option<Arc<Occupant>>,
    pub(crate) connections: usize,
    /// The longest time that it has held one of them.
    pub(crate) longest: Duration,
}
