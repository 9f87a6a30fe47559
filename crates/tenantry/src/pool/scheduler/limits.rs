use std::time::Duration;

use super::Weight;

/// A point in time, relative to the start of the pool.
pub(crate) type Time = Duration;

/// The limits of the scheduler.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Maximum number of connections to the server.
    pub(crate) budget: usize,
    /// Connections that tenants leave to the library itself.
    pub(crate) reserve: usize,
    /// Maximum number of connections leased to one tenant.
    pub(crate) cap: usize,
    /// Maximum number of waiting requests of one tenant.
    pub(crate) max_waiting: usize,
    /// How far a tenant may run ahead of its turn because a connection is already bound to it.
    pub(crate) affinity: Duration,
    /// Maximum idle time of a connection.
    pub(crate) idle_timeout: Option<Duration>,
    /// Number of idle connections that are kept open regardless.
    pub(crate) min_idle: usize,
    /// Maximum number of tenant pools, not counting those in use.
    pub(crate) max_tenant_pools: usize,
    /// How long a tenant pool is kept after its last use.
    pub(crate) tenant_pool_ttl: Duration,
}

/// The limits of one tenant, where they differ from those of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OwnLimits {
    /// Maximum number of connections leased to it, within what is left to all tenants.
    pub(crate) cap: Option<usize>,
    /// Maximum number of its waiting requests.
    pub(crate) max_waiting: Option<usize>,
    pub(crate) weight: Weight,
}

impl Limits {
    /// Maximum number of connections leased to all tenants together.
    pub(crate) fn places_for_tenants(&self) -> usize {
        self.budget - self.reserve
    }

    /// Maximum number of connections leased to a tenant.
    pub(super) fn cap_of(&self, own: &OwnLimits) -> usize {
        own.cap.map_or(self.cap, |cap| cap.min(self.places_for_tenants()))
    }

    /// Maximum number of waiting requests of a tenant.
    pub(super) fn max_waiting_of(&self, own: &OwnLimits) -> usize {
        own.max_waiting.unwrap_or(self.max_waiting)
    }
}
