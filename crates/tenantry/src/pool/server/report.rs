//! Snapshots and counters of the pool.

use std::{sync::Arc, time::Duration};

use parking_lot::MutexGuard;

use super::{
    super::{
        holder::Holder,
        occupant::{Occupant, OccupantId},
        scheduler::TenantCounts,
        snapshot::{Holding, PoolSnapshot, TenantPoolSnapshot},
    },
    Server,
};
use crate::tenant::TenantId;

/// Level of detail of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Totals,
    /// Includes the tenant pools.
    Tenants,
}

/// Number of tenant pools read per lock of the pool.
const PAGE: usize = 256;

impl Server {
    pub(crate) fn snapshot(&self, detail: Detail) -> PoolSnapshot {
        let (max, acquires) = (self.max_connections(), self.outcomes.read());
        let mut snapshot = self.state.lock().totals(max, &self.options, acquires);
        snapshot.budget = self.budget_snapshot();
        if detail == Detail::Tenants {
            snapshot.tenants = self.tenant_pools().map(|(_, snapshot)| snapshot).collect();
        }
        snapshot
    }

    /// Returns the tenants that currently have a tenant pool, with their part of the pool.
    pub(crate) fn tenant_pools(&self) -> impl Iterator<Item = (Arc<Occupant>, TenantPoolSnapshot)> {
        self.list().into_iter().filter_map(|(occupant, counts)| {
            let snapshot = TenantPoolSnapshot::new(&occupant, counts)?;
            Some((occupant, snapshot))
        })
    }

    /// Returns a tenant's part of the pool, if there is one.
    pub(crate) fn tenant_pool(&self, tenant: &TenantId) -> Option<TenantPoolSnapshot> {
        self.state.lock().tenant_pool(tenant)
    }

    /// Lists all pools, one page at a time: requests continue in between, however many pools there
    /// are.
    fn list(&self) -> Vec<(Arc<Occupant>, TenantCounts)> {
        let (first, count) = {
            let state = self.state.lock();
            (state.first_page(), state.scheduler.counts().tenant_pools)
        };
        let mut pools = Vec::with_capacity(count);
        let mut page = Some(first);
        while let Some(this) = page {
            // Reserves capacity, so that appending does not allocate under the lock.
            pools.reserve(PAGE);
            let state = self.state.lock();
            page = state.list(this, PAGE, &mut pools);
            MutexGuard::unlock_fair(state);
        }
        pools
    }

    /// Returns `true` if the library waits because other occupants use every available connection.
    pub(crate) fn is_used_up(&self) -> bool {
        self.state.lock().is_used_up()
    }

    /// Returns the number of connections that are usable or in use, and the number of idle ones.
    pub(crate) fn size(&self) -> (usize, usize) {
        let counts = self.state.lock().scheduler.counts();
        (counts.idle + counts.leased, counts.idle)
    }

    /// Returns the connection that the current task holds: its owner, and for how long.
    pub(in crate::pool) fn held_here(&self) -> Option<(Option<Arc<Occupant>>, Duration)> {
        let (occupant, since) = self.state.lock().held_by(Holder::current())?;
        Some((occupant, self.now().saturating_sub(since)))
    }

    /// Describes who holds the connections that an occupant waits for.
    pub(in crate::pool) fn occupancy(&self, of: &Occupant) -> String {
        self.state.lock().occupancy(of)
    }

    /// Returns the holders of the connections available to tenants, if all are in use and a request
    /// waits.
    pub(crate) fn saturation(&self) -> Option<Vec<Holding>> {
        let state = self.state.lock();
        state.saturation(self.now())
    }

    /// Returns `true` if a request waits for a connection.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.state.lock().scheduler.counts().waiting > 0
    }

    /// Returns the number of connections being opened.
    pub(in crate::pool) fn opening(&self) -> usize {
        self.state.lock().scheduler.counts().opening
    }

    /// Returns `true` if the server has ever answered.
    pub(crate) fn has_answered(&self) -> bool {
        self.state.lock().has_answered()
    }

    /// Maximum number of connections for maintenance.
    pub(crate) fn places_for_upkeep(&self) -> usize {
        let cap = self.options.max_connections_per_tenant;
        self.places_for_tenants().min(cap.unwrap_or(usize::MAX))
    }

    /// Maximum number of connections of one tenant.
    pub(crate) fn cap_of_a_tenant(&self) -> usize {
        self.state.lock().scheduler.cap_of_a_tenant()
    }

    /// Maximum number of connections of all tenants.
    pub(crate) fn places_for_tenants(&self) -> usize {
        self.state.lock().scheduler.places_for_tenants()
    }

    /// Returns `true` if a connection is currently bound to the occupant.
    pub(crate) fn is_warm(&self, id: &OccupantId) -> bool {
        self.state.lock().is_warm(id)
    }

    /// Returns `true` if there is a usable connection.
    pub(crate) fn is_alive(&self) -> bool {
        self.state.lock().scheduler.alive() > 0
    }
}
