use std::{collections::BTreeMap, time::Duration};

use super::{Limits, OwnLimits, Time, fair::Place, heat::Heat, list::List};

/// A tenant pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TenantKey(pub(super) usize);

impl TenantKey {
    /// Returns a small number, unique among the current tenant pools.
    pub(crate) fn index(self) -> usize {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn of_test(index: usize) -> Self {
        Self(index)
    }
}

/// A place in a queue. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(super) u64);

/// The kind of requester.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The library itself: may use the reserve and comes first. Several pools of this class are
    /// served in order of arrival.
    System,
    /// The shared schema: served like a tenant, without a cap, and never evicted.
    Shared,
    /// A tenant whose connections may be bound to others when it does not need them.
    Pooled,
    /// A tenant whose connections are never bound to another tenant.
    Dedicated,
    /// Maintenance with a separate login: served like the shared schema, and its connections are
    /// never bound to another occupant.
    Upkeep,
}

impl Class {
    /// Returns `true` if its connections are never bound to another occupant.
    pub(super) fn keeps_connections(self) -> bool {
        matches!(self, Self::Dedicated | Self::Upkeep)
    }
}

#[derive(Debug)]
pub(super) struct Tenant<W> {
    pub(super) class: Class,
    pub(super) own: OwnLimits,
    pub(super) queue: BTreeMap<Ticket, W>,
    pub(super) idle: List,
    pub(super) leased: usize,
    /// Number of connections that are being opened for it, if it is dedicated.
    pub(super) aimed: usize,
    /// When it was last granted a connection, or began to wait.
    pub(super) served_at: Time,
    /// How often it is used lately, if it is dedicated.
    pub(super) heat: Heat,
    /// Number of leases so far.
    pub(super) granted: u64,
    /// What it has been charged: hold time divided by its weight.
    pub(super) virtual_time: Duration,
    pub(super) typical_hold: Duration,
    /// Its place in [`Ready`], if it is there.
    pub(super) place: Option<Place>,
    /// Set while it is in the list of quiet tenants.
    pub(super) quiet_since: Option<Time>,
    pub(super) evicted: bool,
}

impl<W> Tenant<W> {
    /// Returns how many more connections it could use.
    pub(super) fn demand(&self, limits: &Limits) -> usize {
        self.queue.len().min(self.cap(limits).saturating_sub(self.leased))
    }

    /// Returns how many connections it may lease.
    pub(super) fn cap(&self, limits: &Limits) -> usize {
        match self.class {
            Class::System => limits.budget,
            Class::Shared | Class::Upkeep => limits.places_for_tenants(),
            Class::Pooled | Class::Dedicated => limits.cap_of(&self.own),
        }
    }

    /// Returns its weight, in hundredths, while it waits or holds a connection, and so gets a share.
    pub(super) fn active_weight(&self) -> u64 {
        let is_active = self.leased > 0 || !self.queue.is_empty();
        if is_active && self.class != Class::System { self.own.weight.hundredths() } else { 0 }
    }

    pub(super) fn is_a_tenant(&self) -> bool {
        matches!(self.class, Class::Pooled | Class::Dedicated)
    }

    pub(super) fn is_evictable(&self) -> bool {
        self.is_a_tenant() && !self.evicted
    }
}

/// The minimum charge of a lease, so that every grant moves a tenant back in the order.
pub(super) const LEAST_CHARGE: Duration = Duration::from_micros(1);
