use std::time::Duration;

/// A point in time: how long ago the pool began.
pub(crate) type Time = Duration;

/// What the scheduler keeps to.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Connections to the server, at most.
    pub(crate) budget: usize,
    /// Connections that tenants leave to the library itself.
    pub(crate) reserve: usize,
    /// Connections that one tenant may lease.
    pub(crate) cap: usize,
    /// Waiting requests of one tenant, at most.
    pub(crate) max_waiting: usize,
    /// How far a tenant may run ahead of its turn because a connection is bound to it already.
    pub(crate) affinity: Duration,
    /// How long a connection may be idle.
    pub(crate) idle_timeout: Option<Duration>,
    /// Idle connections that are kept open all the same.
    pub(crate) min_idle: usize,
    /// Tenant pools that are kept at most, those in use aside.
    pub(crate) max_tenant_pools: usize,
    /// How long a tenant pool is kept after its last use.
    pub(crate) tenant_pool_ttl: Duration,
}

impl Limits {
    /// Connections that all tenants may lease together.
    pub(crate) fn places_for_tenants(&self) -> usize {
        self.budget - self.reserve
    }
}
