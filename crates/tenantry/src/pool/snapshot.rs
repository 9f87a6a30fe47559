use std::{collections::BTreeMap, sync::Arc};

use crate::{
    event::{BreakerState, EvictReason},
    tenant::TenantId,
};

/// The pool in numbers, at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// How acquires have ended since the manager was built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acquires {
    /// With a connection that was bound to the tenant already.
    pub hit: u64,
    /// With a connection that had to be bound anew.
    pub rebind: u64,
    /// With a connection that was opened, or that nobody was bound to.
    pub open: u64,
    /// With the deadline.
    pub timeout: u64,
    /// With a refusal: the queue was full, or no connection could be opened or is opened at present.
    pub refused: u64,
}

/// The part of the pool that is bound to one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantPoolSnapshot {
    /// The tenant.
    pub tenant: TenantId,
    /// Its schema.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedPoolSnapshot {
    /// Connections bound to it.
    pub total: usize,
    /// Those of them that nobody has.
    pub idle: usize,
    /// Requests for it that wait.
    pub waiting: usize,
}
