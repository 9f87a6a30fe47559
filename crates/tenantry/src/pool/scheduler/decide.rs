//! Decisions of the scheduler: which request is next, which connection fits, when to open or close
//! one.

use super::{
    Class, ConnId, How, Scheduler, Supply, TenantKey, Time,
    conn::{Shelf, State, conn_id},
    fair::BURST,
};

impl<W> Scheduler<W> {
    /// Gives a usable connection to the next request, or puts it on its shelf.
    pub(super) fn offer(&mut self, now: Time, conn: ConnId) {
        let homes_wait = self.demand_of_homes > 0;
        self.give_or_keep(now, conn);
        if homes_wait {
            // One that was put off for its turn may be due, or other requests behind it.
            self.make_room(now);
        }
    }

    fn give_or_keep(&mut self, now: Time, conn: ConnId) {
        if self.closed || self.is_spent(now, conn) || self.is_over_budget(1) {
            return self.begin_close(conn);
        }
        let Some(key) = self.whose_turn_for(conn) else {
            return self.put_idle(now, conn);
        };
        match self.fit(conn, key) {
            Some(how) => self.grant(now, conn, key, how),
            // It cannot be bound to the tenant whose turn it is. Its place in the budget, or that of
            // another idle one, may be worth taking over; else the next tenant that fits gets it.
            None => {
                self.put_idle(now, conn);
                self.make_room(now);
                self.give_on(now, conn);
            }
        }
    }

    /// Gives a connection that is still idle to the first tenant that it fits.
    fn give_on(&mut self, now: Time, conn: ConnId) {
        if matches!(self.conn(conn).state, State::Idle { .. })
            && self.tenants_may_lease()
            && let Some((key, how)) = self.next_that_fits(conn)
        {
            self.take_idle(conn);
            self.grant(now, conn, key, how);
        }
    }

    /// Finds the first tenant in the order that the connection can be bound to: its current tenant,
    /// or one that accepts any connection.
    fn next_that_fits(&self, conn: ConnId) -> Option<(TenantKey, How)> {
        let owner = self.conn(conn).bound.filter(|owner| self.tenants[owner.0].place.is_some());
        let pooled = self.ready.first_pooled().map(TenantKey);
        [owner, pooled].into_iter().flatten().find_map(|key| Some((key, self.fit(conn, key)?)))
    }

    /// Chooses the tenant that gets this connection: its current tenant, while that is not too far
    /// ahead; the one that it was opened for; or the tenant whose turn it is.
    pub(super) fn whose_turn_for(&self, conn: ConnId) -> Option<TenantKey> {
        let first = self.whose_turn()?;
        if let Some(aim) = self.aimed_at(conn).filter(|_| self.tenants_may_lease()) {
            return Some(aim);
        }
        let Some(owner) = self.conn(conn).bound else {
            return Some(first);
        };
        if owner == first || self.tenants[first.0].class == Class::System {
            return Some(first);
        }
        let waits = self.tenants[owner.0].place.is_some();
        Some(if waits && self.is_near(owner, first) { owner } else { first })
    }

    /// Returns the tenant that a new connection was opened for, if it still waits.
    pub(super) fn aimed_at(&self, conn: ConnId) -> Option<TenantKey> {
        let conn = self.conn(conn);
        let aim = conn.aim.filter(|_| conn.fresh)?;
        self.tenants.get(aim.0).is_some_and(|tenant| tenant.place.is_some()).then_some(aim)
    }

    /// Returns `true` if a tenant may precede the one whose turn it is, because a connection is
    /// bound to it.
    pub(super) fn is_near(&self, owner: TenantKey, first: TenantKey) -> bool {
        let affinity = self.affinity_of(owner);
        let [owned, next] = [owner, first].map(|key| self.tenants[key.0].virtual_time);
        // Both are hold time, which counts less for a tenant of a higher weight.
        let [burst, ahead] =
            [BURST, affinity].map(|hold| self.tenants[owner.0].own.weight.charge(hold));
        // A turn comes at the edge of the burst, or when the first tenant has reached it.
        let turn = next.max(self.ready.clock() + burst.min(BURST));
        // A tenant that is behind the clock loses what it does not use of its share.
        let is_late = next.saturating_add(affinity) < self.ready.clock();
        !affinity.is_zero() && !is_late && owned <= turn.saturating_add(ahead)
    }

    pub(super) fn whose_turn(&self) -> Option<TenantKey> {
        self.system_in_line()
            .or_else(|| self.ready.first().filter(|_| self.tenants_may_lease()).map(TenantKey))
    }

    /// Returns the system pool that has waited longest.
    fn system_in_line(&self) -> Option<TenantKey> {
        let since = |key: &TenantKey| self.tenants[key.0].queue.keys().next().copied();
        let waiting = self.systems.iter().filter_map(|key| Some((since(key)?, *key)));
        waiting.min_by_key(|(since, _)| *since).map(|(_, key)| key)
    }

    /// Maximum number of connections of a tenant without limits of its own.
    pub(crate) fn cap_of_a_tenant(&self) -> usize {
        self.limits.cap
    }

    /// Maximum number of waiting requests of this tenant.
    pub(crate) fn max_waiting(&self, key: TenantKey) -> usize {
        self.limits.max_waiting_of(&self.tenants[key.0].own)
    }

    /// Maximum number of connections of all tenants.
    pub(crate) fn places_for_tenants(&self) -> usize {
        self.limits.places_for_tenants()
    }

    pub(super) fn tenants_may_lease(&self) -> bool {
        self.tenant_leases + self.limits.reserve < self.limits.budget
    }

    pub(super) fn may_lease(&self, key: TenantKey) -> bool {
        let tenant = &self.tenants[key.0];
        tenant.class == Class::System
            || (tenant.leased < tenant.cap(&self.limits) && self.tenants_may_lease())
    }

    /// Returns how the connection would be prepared for the tenant; `None` if it cannot be.
    pub(super) fn fit(&self, conn: ConnId, key: TenantKey) -> Option<How> {
        let conn = self.conn(conn);
        let dedicated = self.tenants[key.0].class.keeps_connections();
        match conn.bound {
            Some(bound) if bound == key => Some(if conn.fresh { How::Bind } else { How::Hit }),
            None if conn.fresh => Some(How::Bind),
            _ if dedicated || conn.dedicated => None,
            None => Some(How::Bind),
            Some(_) => Some(How::Rebind),
        }
    }

    /// Finds the idle connection that serves the tenant best without a connect, unless a connect
    /// would be better.
    pub(super) fn find_idle(&self, key: TenantKey) -> Option<(ConnId, How)> {
        let tenant = &self.tenants[key.0];
        if let Some(own) = tenant.idle.back() {
            return Some((conn_id(own), if self.conns[own].fresh { How::Bind } else { How::Hit }));
        }
        let unbound = self.shelf(Shelf::Unbound).back();
        let fresh = self.shelf(Shelf::Fresh).back();
        let free_for_all = if tenant.class.keeps_connections() { fresh } else { unbound.or(fresh) };
        match free_for_all {
            Some(index) => Some((conn_id(index), How::Bind)),
            None if !self.can_open_soon() => self.find_rebindable(key),
            None => None,
        }
    }

    /// Returns `true` if another connection can soon be opened.
    fn can_open_soon(&self) -> bool {
        self.supply == Supply::Normal && self.has_place() && self.slow_openings == 0
    }

    /// Finds the least recently used idle connection of another tenant.
    pub(super) fn find_rebindable(&self, key: TenantKey) -> Option<(ConnId, How)> {
        if self.tenants[key.0].class.keeps_connections() {
            return None;
        }
        self.shelf(Shelf::Pooled).front().map(|index| (conn_id(index), How::Rebind))
    }

    /// Opens connections for waiters; gives them idle ones if there is no room for more; or closes
    /// one that cannot be bound to the tenant whose turn it is.
    pub(super) fn make_room(&mut self, now: Time) {
        if self.closed {
            return;
        }
        if self.slow_openings > 0 {
            while self.give_idle(now) {}
        }
        while self.is_short() {
            if self.open_one(now) || self.give_first(now) {
                continue;
            }
            if let Some(victim) = self.find_takeover(now) {
                self.close_idle(victim);
            } else if !self.give_idle(now) {
                return self.review_later();
            }
        }
    }

    /// Gives an idle connection to the tenant whose turn it is, if there is one for it.
    fn give_first(&mut self, now: Time) -> bool {
        let Some(first) = self.whose_turn() else { return false };
        let Some((conn, how)) = self.find_idle(first) else { return false };
        self.take_idle(conn);
        self.grant(now, conn, first, how);
        true
    }

    /// Gives an idle connection to the next waiter that can use it.
    pub(super) fn give_idle(&mut self, now: Time) -> bool {
        let Some((key, conn, how)) = self.next_with_an_idle_one() else { return false };
        self.take_idle(conn);
        self.grant(now, conn, key, how);
        true
    }

    /// Finds the tenant whose turn it is, with an idle connection for it. While none can be opened
    /// soon, the next tenant that can use an existing one comes first.
    fn next_with_an_idle_one(&self) -> Option<(TenantKey, ConnId, How)> {
        let idle = |key| self.find_idle(key).map(|(conn, how)| (key, conn, how));
        let first = self.whose_turn()?;
        idle(first).or_else(|| {
            if self.can_open_soon() || !self.tenants_may_lease() {
                return None;
            }
            let pooled = self.ready.first_pooled().map(TenantKey);
            pooled.and_then(idle).or_else(|| self.dedicated_with_an_idle_one())
        })
    }

    /// Finds a dedicated tenant that waits although one of its connections is idle.
    fn dedicated_with_an_idle_one(&self) -> Option<(TenantKey, ConnId, How)> {
        let mut idle = self.shelf(Shelf::Dedicated).iter(&self.shelf_links).map(conn_id);
        idle.find_map(|conn| {
            let owner = self.conn(conn).bound?;
            self.tenants[owner.0].place?;
            Some((owner, conn, self.fit(conn, owner)?))
        })
    }

    /// Returns `true` if a waiter could use one more connection than are being opened.
    pub(crate) fn is_short(&self) -> bool {
        self.counts.opening + self.counts.closing < self.wanted()
    }

    /// Returns how many connections the waiters could use right now.
    fn wanted(&self) -> usize {
        self.demand.min(self.headroom()) + self.wanted_by_system()
    }

    /// Returns how many more connections tenants may lease.
    pub(super) fn headroom(&self) -> usize {
        self.limits.budget.saturating_sub(self.limits.reserve + self.tenant_leases)
    }

    pub(super) fn wanted_by_system(&self) -> usize {
        self.systems.iter().map(|key| self.tenants[key.0].queue.len()).sum()
    }

    /// Finds an idle connection to close for the sake of its place, because it cannot be bound to
    /// the tenant whose turn it is.
    pub(super) fn find_victim(&self) -> Option<ConnId> {
        [Shelf::Unbound, Shelf::Pooled, Shelf::Dedicated]
            .into_iter()
            .find_map(|shelf| self.shelf(shelf).front().map(conn_id))
    }

    pub(super) fn is_due(&self, now: Time, index: usize) -> bool {
        let State::Idle { since, .. } = self.conns[index].state else {
            return false;
        };
        let too_old = now >= self.conns[index].expires;
        let unused = self.counts.idle > self.limits.min_idle
            && self.limits.idle_timeout.is_some_and(|limit| now.saturating_sub(since) >= limit);
        too_old || unused
    }

    /// Returns `true` if the connection has expired, or cannot be used by any tenant.
    pub(super) fn is_spent(&self, now: Time, conn: ConnId) -> bool {
        let conn = self.conn(conn);
        now >= conn.expires || (conn.dedicated && conn.bound.is_none())
    }
}
