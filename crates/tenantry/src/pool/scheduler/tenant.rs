use std::{collections::BTreeMap, time::Duration};

use super::{Limits, Time, fair::Place, list::List};

/// A tenant pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TenantKey(pub(super) usize);

impl TenantKey {
    /// Returns a small number that no other tenant pool has at the same time.
    pub(crate) fn index(self) -> usize {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn of_test(index: usize) -> Self {
        Self(index)
    }
}

/// A place in a queue. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(super) u64);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The library itself: may use the reserve and comes first. Several pools of this class are served in
    /// the order in which their requests came.
    System,
    /// The shared schema: served like a tenant, without a cap, and never evicted.
    Shared,
    /// A tenant whose connections may be bound to others when it does not need them.
    Pooled,
    /// A tenant whose connections are never bound to anybody else.
    Dedicated,
    /// Upkeep with a login of its own: served as the shared schema is, and its connections are never
    /// bound to anybody else.
    Upkeep,
}

impl Class {
    /// Says whether its connections are never bound to anybody else.
    pub(super) fn keeps_connections(self) -> bool {
        matches!(self, Self::Dedicated | Self::Upkeep)
    }
}

#[derive(Debug)]
pub(super) struct Tenant<W> {
    pub(super) class: Class,
    pub(super) queue: BTreeMap<Ticket, W>,
    pub(super) idle: List,
    pub(super) leased: usize,
    /// Leases so far.
    pub(super) granted: u64,
    pub(super) virtual_time: Duration,
    pub(super) typical_hold: Duration,
    /// Its place in [`Ready`], when it stands there.
    pub(super) place: Option<Place>,
    /// Whether it is in the list of quiet tenants.
    pub(super) quiet_since: Option<Time>,
    pub(super) evicted: bool,
}

impl<W> Tenant<W> {
    /// How many more connections it could make use of.
    pub(super) fn demand(&self, limits: &Limits) -> usize {
        self.queue.len().min(self.cap(limits).saturating_sub(self.leased))
    }

    /// How many connections it may lease.
    pub(super) fn cap(&self, limits: &Limits) -> usize {
        match self.class {
            Class::System => limits.budget,
            Class::Shared | Class::Upkeep => limits.places_for_tenants(),
            Class::Pooled | Class::Dedicated => limits.cap,
        }
    }

    /// Says whether it waits or holds something, and so has a share of what is given.
    pub(super) fn is_active(&self) -> bool {
        self.class != Class::System && (self.leased > 0 || !self.queue.is_empty())
    }

    pub(super) fn is_a_tenant(&self) -> bool {
        matches!(self.class, Class::Pooled | Class::Dedicated)
    }

    pub(super) fn is_evictable(&self) -> bool {
        self.is_a_tenant() && !self.evicted
    }
}

/// A lease is never charged less, so that every grant moves a tenant back in the order.
pub(super) const LEAST_CHARGE: Duration = Duration::from_micros(1);
