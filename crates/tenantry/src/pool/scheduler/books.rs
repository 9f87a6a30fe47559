//! Bookkeeping of the scheduler: one function for each kind of change to a connection, a tenant or
//! a queue.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Action, Class, ConnId, How, Refusal, Scheduler, Supply, TenantKey, Ticket, Time,
    conn::{Charge, Conn, Shelf, State},
    fair::{MOST_DEBT, Place},
    list::List,
    tenant::{LEAST_CHARGE, Tenant},
};
use crate::event::EvictReason;

impl<W> Scheduler<W> {
    pub(super) fn grant(&mut self, now: Time, conn: ConnId, key: TenantKey, how: How) {
        let first = self.tenants[key.0].queue.first_key_value().map(|(ticket, _)| *ticket);
        let Some(ticket) = first else {
            debug_assert!(false, "a tenant whose turn it is has a waiter");
            return self.put_idle(now, conn);
        };
        self.ready.catch_up();
        let mut waiter = None;
        self.change_queue(now, key, |queue| waiter = queue.remove(&ticket));
        self.lease(now, conn, key);
        if let Some(waiter) = waiter {
            self.actions.push_back(Action::Grant { waiter, conn, tenant: key, how });
        }
    }

    pub(super) fn refuse_first(&mut self, now: Time, key: TenantKey, why: Refusal) {
        let mut first = None;
        self.change_queue(now, key, |queue| first = queue.pop_first());
        if let Some((_, waiter)) = first {
            self.actions.push_back(Action::Refuse { waiter, why });
        }
        self.forget_if_done(key);
    }

    pub(super) fn lease(&mut self, now: Time, conn: ConnId, key: TenantKey) {
        self.leave_quiet(key);
        let dedicated = self.tenants[key.0].class.keeps_connections();
        let charged = self.charge(key);
        let slot = self.conn_mut(conn);
        slot.state = State::Leased { tenant: key, since: now, charged };
        slot.fresh = false;
        if slot.bound != Some(key) {
            slot.bound = Some(key);
            slot.dedicated |= dedicated;
        }
        if dedicated {
            self.note_use_of_home(now, key);
        }
        self.counts.leased += 1;
        if self.tenants[key.0].class != Class::System {
            self.tenant_leases += 1;
            self.most_tenant_leases = self.most_tenant_leases.max(self.tenant_leases);
            self.ready.give(charged.hold, self.active_weight);
        }
        if self.tenants[key.0].is_a_tenant() {
            self.counts.granted += 1;
        }
    }

    /// Charges a tenant for a lease with an estimate, which the end of the lease corrects.
    fn charge(&mut self, key: TenantKey) -> Charge {
        let mut charged = Charge::default();
        self.change_tenant(key, |tenant, clock| {
            tenant.leased += 1;
            tenant.granted += 1;
            let hold = tenant.typical_hold.min(MOST_DEBT);
            let before = tenant.virtual_time.max(clock);
            let after = before + tenant.own.weight.charge(hold);
            tenant.virtual_time = after.min(clock + MOST_DEBT);
            charged = Charge { hold, virtual_time: tenant.virtual_time.saturating_sub(before) };
        });
        charged
    }

    /// Corrects the charge of a lease to its real duration.
    pub(super) fn end_lease(&mut self, now: Time, key: TenantKey, held: Duration, charged: Charge) {
        let held = held.max(LEAST_CHARGE);
        self.counts.leased -= 1;
        if self.tenants[key.0].class != Class::System {
            self.tenant_leases -= 1;
            self.ready.give(held.saturating_sub(charged.hold), self.active_weight);
        }
        self.change_tenant(key, |tenant, clock| {
            tenant.leased -= 1;
            let settled = tenant.virtual_time.saturating_add(tenant.own.weight.charge(held));
            let settled = settled.saturating_sub(charged.virtual_time);
            tenant.virtual_time = settled.min(clock + MOST_DEBT);
            tenant.typical_hold = (tenant.typical_hold * 7 + held) / 8;
        });
        self.settle_quiet(now, key);
    }

    pub(super) fn change_queue(
        &mut self,
        now: Time,
        key: TenantKey,
        change: impl FnOnce(&mut BTreeMap<Ticket, W>),
    ) {
        let before = self.tenants[key.0].queue.len();
        self.change_tenant(key, |tenant, clock| {
            change(&mut tenant.queue);
            if before == 0 {
                tenant.virtual_time = tenant.virtual_time.max(clock);
                tenant.served_at = now;
            }
        });
        let after = self.tenants[key.0].queue.len();
        self.counts.waiting = self.counts.waiting + after - before;
        match after {
            0 => self.settle_quiet(now, key),
            _ => self.leave_quiet(key),
        }
    }

    /// Changes a tenant and updates its place in the order and the total demand.
    pub(super) fn change_tenant(
        &mut self,
        key: TenantKey,
        change: impl FnOnce(&mut Tenant<W>, Duration),
    ) {
        let clock = self.ready.clock();
        let tenant = &mut self.tenants[key.0];
        let (demand_before, weight_before) = (tenant.demand(&self.limits), tenant.active_weight());
        let class_before = tenant.class;
        change(tenant, clock);
        if tenant.class == Class::System {
            return;
        }
        let demand = tenant.demand(&self.limits);
        let place = tenant
            .queue
            .first_key_value()
            .filter(|_| demand > 0)
            .map(|(arrival, _)| Place::new(tenant.class, tenant.virtual_time, *arrival, key.0));
        let place_before = std::mem::replace(&mut tenant.place, place);
        self.demand = self.demand + demand - demand_before;
        if class_before.keeps_connections() {
            self.demand_of_homes -= demand_before;
        }
        if tenant.class.keeps_connections() {
            self.demand_of_homes += demand;
        }
        self.active_weight = self.active_weight + tenant.active_weight() - weight_before;
        if place_before != place {
            if let Some(place) = place_before {
                self.ready.remove(place);
            }
            if let Some(place) = place {
                self.ready.insert(place);
            }
        }
    }

    pub(super) fn put_idle(&mut self, now: Time, conn: ConnId) {
        let slot = self.conn(conn);
        let shelf = match slot.bound {
            Some(_) if slot.dedicated => Shelf::Dedicated,
            _ if slot.fresh => Shelf::Fresh,
            None => Shelf::Unbound,
            Some(_) => Shelf::Pooled,
        };
        let bound = slot.bound;
        self.conn_mut(conn).state = State::Idle { since: now, shelf };
        self.shelf_links.push_back(&mut self.shelves[shelf as usize], conn.index());
        if let Some(key) = bound {
            self.tenant_links.push_back(&mut self.tenants[key.0].idle, conn.index());
        }
        self.counts.idle += 1;
    }

    /// Takes an idle connection off its shelf; the caller decides its next state.
    pub(super) fn take_idle(&mut self, conn: ConnId) {
        let State::Idle { shelf, .. } = self.conn(conn).state else {
            debug_assert!(false, "only an idle connection is on a shelf");
            return;
        };
        self.shelf_links.remove(&mut self.shelves[shelf as usize], conn.index());
        if let Some(key) = self.conn(conn).bound {
            self.tenant_links.remove(&mut self.tenants[key.0].idle, conn.index());
        }
        self.counts.idle -= 1;
    }

    /// Opens a connection, unless the supply is short or every place is taken.
    pub(super) fn open_one(&mut self, now: Time) -> bool {
        self.supply == Supply::Normal && self.open_in_a_free_place(now).is_some()
    }

    pub(super) fn open_in_a_free_place(&mut self, now: Time) -> Option<ConnId> {
        if !self.has_place() {
            return None;
        }
        let conn = self.free.pop()?;
        let aim = self.next_aim(now);
        if let Some(key) = aim {
            self.tenants[key.0].aimed += 1;
            self.aimed += 1;
        }
        let slot = self.conn_mut(conn);
        (slot.state, slot.aim) = (State::Opening { since: now, slow: false }, aim);
        self.counts.opening += 1;
        self.actions.push_back(Action::Open(conn));
        Some(conn)
    }

    /// Returns the dedicated tenant that a connection is or was opened for.
    pub(crate) fn aim_of(&self, conn: ConnId) -> Option<TenantKey> {
        self.conn(conn).aim
    }

    /// Records that a connection is no longer being opened.
    pub(super) fn end_opening(&mut self, conn: ConnId) {
        let State::Opening { slow, .. } = self.conn(conn).state else {
            debug_assert!(false, "only what is being opened can have been opened");
            return;
        };
        self.counts.opening -= 1;
        self.slow_openings -= usize::from(slow);
        if let Some(aim) = self.conn(conn).aim {
            self.aimed -= 1;
            if let Some(tenant) = self.tenants.get_mut(aim.0) {
                tenant.aimed = tenant.aimed.saturating_sub(1);
            }
        }
    }

    pub(super) fn close_idle(&mut self, conn: ConnId) {
        self.take_idle(conn);
        self.begin_close(conn);
    }

    pub(super) fn begin_close(&mut self, conn: ConnId) {
        self.conn_mut(conn).state = State::Closing;
        self.counts.closing += 1;
        self.actions.push_back(Action::Close(conn));
    }

    /// Frees the place of a connection that is gone.
    pub(super) fn set_free(&mut self, now: Time, conn: ConnId) {
        self.conn_mut(conn).state = State::Closing;
        self.counts.closing += 1;
        self.closed(now, conn);
    }

    /// Evicts tenant pools above the limit; `newest` stays.
    pub(super) fn keep_capacity(&mut self, now: Time, newest: TenantKey) {
        while self.tenants.len() > self.limits.max_tenant_pools
            && let Some(oldest) = self.quiet.front()
            && oldest != newest.0
        {
            self.evict(now, TenantKey(oldest), EvictReason::Capacity);
        }
    }

    /// Appends a tenant without leases and waiters to the quiet list.
    pub(super) fn settle_quiet(&mut self, now: Time, key: TenantKey) {
        let tenant = &mut self.tenants[key.0];
        let quiet = tenant.leased == 0 && tenant.queue.is_empty() && tenant.is_evictable();
        if quiet && tenant.quiet_since.is_none() {
            tenant.quiet_since = Some(now);
            self.quiet_links.push_back(&mut self.quiet, key.0);
        }
    }

    pub(super) fn leave_quiet(&mut self, key: TenantKey) {
        if self.tenants[key.0].quiet_since.take().is_some() {
            self.quiet_links.remove(&mut self.quiet, key.0);
        }
    }

    /// Removes the remains of an evicted tenant once nothing refers to it.
    pub(super) fn forget_if_done(&mut self, key: TenantKey) {
        let Some(tenant) = self.tenants.get(key.0) else {
            return;
        };
        if tenant.evicted && tenant.leased == 0 && tenant.queue.is_empty() {
            self.tenants.remove(key.0);
            self.actions.push_back(Action::Forgotten(key));
        }
    }

    pub(super) fn conn(&self, conn: ConnId) -> &Conn {
        &self.conns[conn.index()]
    }

    pub(super) fn conn_mut(&mut self, conn: ConnId) -> &mut Conn {
        &mut self.conns[conn.index()]
    }

    pub(super) fn shelf(&self, shelf: Shelf) -> &List {
        &self.shelves[shelf as usize]
    }
}
