//! Snapshots and counters of the pool's state.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    super::{
        holder::Holder,
        names::Page,
        occupant::{Occupant, OccupantId},
        options::PoolOptions,
        scheduler::{Supply, TenantCounts, TenantKey, Time},
        snapshot::{Acquires, Holding, PoolSnapshot, SharedPoolSnapshot, TenantPoolSnapshot},
    },
    State,
};
use crate::{
    error::{ErrorClass, class_of},
    event::BreakerState,
    tenant::TenantId,
};

impl State {
    /// Returns `true` if a connection is currently bound to the occupant.
    pub(crate) fn is_warm(&self, id: &OccupantId) -> bool {
        self.pools.get(id).filter(|pool| !pool.leaving).is_some_and(|pool| {
            let counts = self.scheduler.tenant_counts(pool.key);
            counts.idle + counts.leased > 0
        })
    }

    /// Returns one tenant's part of the pool.
    pub(crate) fn tenant_pool(&self, tenant: &TenantId) -> Option<TenantPoolSnapshot> {
        let pool =
            self.pools.get(&OccupantId::Tenant(tenant.clone())).filter(|pool| !pool.leaving)?;
        TenantPoolSnapshot::new(&pool.occupant, self.scheduler.tenant_counts(pool.key))
    }

    /// Starts listing the current tenant pools.
    pub(crate) fn first_page(&self) -> Page {
        self.names.first_page()
    }

    /// Lists a page of the tenant pools, and those of the library; returns the next page. It copies
    /// only pointers and numbers.
    pub(crate) fn list(
        &self,
        page: Page,
        places: usize,
        into: &mut Vec<(Arc<Occupant>, TenantCounts)>,
    ) -> Option<Page> {
        self.names.read(page, places, |key, occupant| {
            into.push((Arc::clone(occupant), self.scheduler.tenant_counts(key)));
        })
    }

    /// Describes who holds the connections that an occupant waits for.
    pub(crate) fn occupancy(&self, of: &Occupant) -> String {
        let counts = self.scheduler.counts();
        let (leased, places) = (counts.leased_to_tenants, self.scheduler.places_for_tenants());
        let mut text = format!("{leased} of {places} connections for tenants are in use");
        if of.tenant().is_some() {
            let own = self.pools.get(&of.id).map(|pool| self.scheduler.tenant_counts(pool.key));
            let TenantCounts { leased, cap, .. } = own.unwrap_or_default();
            text += &format!(", {leased} by this tenant (at most {cap})");
        }
        let others = [
            (counts.opening, "being opened"),
            (counts.closing, "being closed"),
            (counts.waiting, "other requests waiting"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            text += &format!("; {count} {what}");
        }
        if self.scheduler.supply() == Supply::Short {
            text += match self.open_error.as_deref().map(class_of) {
                Some(ErrorClass::TooManyConnections) => "; the server is out of connection slots",
                _ => "; no connection can be opened",
            };
        }
        text
    }

    /// Returns the connection that a task has held longest: its owner, and since when.
    pub(crate) fn held_by(&self, holder: Holder) -> Option<(Option<Arc<Occupant>>, Time)> {
        let places = self.held.iter().enumerate().filter(|(_, held)| held.is_by(holder));
        let leases = places.filter_map(|(place, _)| self.scheduler.lease_at(place));
        let (key, since) = leases.min_by_key(|(_, since)| *since)?;
        Some((self.names.get(key).cloned(), since))
    }

    /// Returns `true` if the library waits because other occupants use every available connection:
    /// every place is leased, or the server is out of slots.
    pub(crate) fn is_used_up(&self) -> bool {
        let leased = self.scheduler.counts().leased;
        let no_room = self
            .open_error
            .as_deref()
            .is_some_and(|error| leased > 0 && class_of(error) == ErrorClass::TooManyConnections);
        let closed = self.breaker.state() == BreakerState::Closed;
        closed && (leased >= self.sessions.len() || no_room)
    }

    /// Returns the holders of the connections available to tenants, if all are in use and a request
    /// waits.
    pub(crate) fn saturation(&self, now: Time) -> Option<Vec<Holding>> {
        if !self.scheduler.is_saturated() {
            return None;
        }
        let mut holdings: HashMap<TenantKey, Holding> = HashMap::new();
        for (key, since) in self.scheduler.leases() {
            let holding = holdings.entry(key).or_insert_with(|| Holding {
                occupant: self.names.get(key).cloned(),
                connections: 0,
                longest: Duration::ZERO,
            });
            holding.connections += 1;
            holding.longest = holding.longest.max(now.saturating_sub(since));
        }
        Some(holdings.into_values().collect())
    }

    /// Returns the pool's counters, without the tenants.
    pub(crate) fn totals(
        &self,
        max: usize,
        options: &PoolOptions,
        acquires: Acquires,
    ) -> PoolSnapshot {
        let counts = self.scheduler.counts();
        PoolSnapshot {
            max,
            total: counts.opening + counts.idle + counts.leased + counts.closing,
            idle: counts.idle,
            leased: counts.leased,
            leased_to_tenants: counts.leased_to_tenants,
            places_for_tenants: self.scheduler.places_for_tenants(),
            waiting: counts.waiting,
            acquires,
            evictions: self.evictions.clone(),
            breaker: self.breaker.state(),
            granted_to_tenants: counts.granted,
            tenant_pools: self.tenant_pools(),
            max_tenant_pools: options.max_tenant_pools,
            shared: self.shared_pool(),
            tenants: Vec::new(),
            budget: None,
        }
    }

    fn shared_pool(&self) -> Option<SharedPoolSnapshot> {
        let pool = self.pools.get(&OccupantId::Shared)?;
        let counts = self.scheduler.tenant_counts(pool.key);
        Some(SharedPoolSnapshot {
            total: counts.idle + counts.leased,
            idle: counts.idle,
            waiting: counts.waiting,
        })
    }

    /// Counts the current pools of tenants.
    fn tenant_pools(&self) -> usize {
        use OccupantId::{Budget, Catalog, Shared, System, Upkeep};
        let others = [Shared, System, Catalog, Upkeep, Budget];
        let others = others.iter().filter(|id| self.pools.contains_key(id)).count();
        self.pools.len() - self.leaving - others
    }
}
