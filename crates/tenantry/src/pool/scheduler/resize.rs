//! Changing the limits at run time.

use super::{
    Class, Limits, OwnLimits, Scheduler, TenantKey, Time,
    conn::{Conn, Shelf, conn_id},
    fair::Place,
};

impl<W> Scheduler<W> {
    /// Applies other limits. A larger budget can be used at once; for a smaller one idle
    /// connections are closed, and leased ones on return. Until then no other is opened.
    pub(crate) fn resize(&mut self, now: Time, limits: Limits) {
        self.limits = limits;
        let places = self.conns.len()..self.limits.budget.max(self.conns.len());
        self.conns.resize_with(places.end, Conn::free);
        // Previously used places come first.
        self.free.splice(0..0, places.rev().map(conn_id));
        self.recount_demand();
        while self.is_over_budget(0)
            && let Some(conn) = self.least_useful()
        {
            self.close_idle(conn);
        }
        self.make_room(now);
    }

    /// Applies other limits to one tenant. A higher cap can be used at once, also by its waiting
    /// requests; with a lower one it keeps its leases, and gets no others until it is below. A lower
    /// bound of its queue applies to new requests. A new weight applies to leases that begin or end
    /// from now on.
    pub(crate) fn set_limits(&mut self, now: Time, key: TenantKey, own: OwnLimits) {
        self.change_tenant(key, |tenant, _| tenant.own = own);
        while self.give_idle(now) {}
        self.make_room(now);
    }

    /// Returns `true` if the budget allows another connection.
    pub(super) fn has_place(&self) -> bool {
        !self.free.is_empty() && self.conns.len() - self.free.len() < self.limits.budget
    }

    /// Returns `true` if more connections exist than the budget allows, counting those in hand.
    pub(super) fn is_over_budget(&self, in_hand: usize) -> bool {
        let counts = &self.counts;
        counts.opening + counts.idle + counts.leased + in_hand > self.limits.budget
    }

    fn least_useful(&self) -> Option<super::ConnId> {
        self.find_victim().or_else(|| self.shelf(Shelf::Fresh).front().map(conn_id))
    }

    /// Recomputes how many connections all queues could use, after a change of the caps.
    fn recount_demand(&mut self) {
        (self.demand, self.demand_of_homes) = (0, 0);
        for (index, tenant) in &mut self.tenants {
            if tenant.class == Class::System {
                continue;
            }
            let demand = tenant.demand(&self.limits);
            self.demand += demand;
            if tenant.class.keeps_connections() {
                self.demand_of_homes += demand;
            }
            let first = tenant.queue.first_key_value().filter(|_| demand > 0);
            let place = first
                .map(|(arrival, _)| Place::new(tenant.class, tenant.virtual_time, *arrival, index));
            let before = std::mem::replace(&mut tenant.place, place);
            if before != place {
                before.into_iter().for_each(|place| self.ready.remove(place));
                place.into_iter().for_each(|place| self.ready.insert(place));
            }
        }
    }
}
