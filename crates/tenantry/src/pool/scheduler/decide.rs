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
        if self.closed || self.is_spent(now, conn) || self.is_over_budget(1) {
            return self.begin_close(conn);
        }
        let Some(key) = self.whose_turn_for(conn) else {
            return self.put_idle(now, conn);
        };
        match self.fit(conn, key) {
            Some(how) => self.grant(now, conn, key, how),
            // It cannot be bound to the tenant whose turn it is. Its place in the budget can be
            // used instead, unless no connection could be opened there, or enough are already being
            // opened.
            None if self.supply == Supply::Normal && self.is_short() => {
                self.begin_close(conn);
            }
            None => match self.next_that_fits(conn) {
                Some((key, how)) => self.grant(now, conn, key, how),
                None => {
                    self.put_idle(now, conn);
                    self.make_room(now);
                }
            },
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
    /// ahead, or the tenant whose turn it is.
    pub(super) fn whose_turn_for(&self, conn: ConnId) -> Option<TenantKey> {
        let first = self.whose_turn()?;
        let Some(owner) = self.conn(conn).bound else {
            return Some(first);
        };
        if owner == first || self.tenants[first.0].class == Class::System {
            return Some(first);
        }
        let waits = self.tenants[owner.0].place.is_some();
        Some(if waits && self.is_near(owner, first) { owner } else { first })
    }

    /// Returns `true` if a tenant may precede the one whose turn it is, because a connection is
    /// bound to it.
    fn is_near(&self, owner: TenantKey, first: TenantKey) -> bool {
        let affinity = self.limits.affinity;
        let [owned, next] = [owner, first].map(|key| self.tenants[key.0].virtual_time);
        // A turn comes at the edge of the burst, or when the first tenant has reached it.
        let turn = next.max(self.ready.clock() + BURST);
        !affinity.is_zero() && owned <= turn.saturating_add(affinity)
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

    /// Maximum number of connections of one tenant.
    pub(crate) fn cap_of_a_tenant(&self) -> usize {
        self.limits.cap
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
            Some(bound) if bound == key => Some(How::Hit),
            _ if conn.fresh => Some(How::Bind),
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
            return Some((conn_id(own), How::Hit));
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
            if self.open_one() || self.give_idle(now) {
                continue;
            }
            // Closing one to open another is useless while none can be opened.
            match self.find_victim().filter(|_| self.supply == Supply::Normal) {
                Some(victim) => self.close_idle(victim),
                None => return,
            }
        }
    }

    /// Gives an idle connection to the next waiter that can use it.
    fn give_idle(&mut self, now: Time) -> bool {
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
            self.tenants[owner.0].place.map(|_| (owner, conn, How::Hit))
        })
    }

    /// Returns `true` if a waiter could use one more connection than are being opened.
    pub(crate) fn is_short(&self) -> bool {
        self.counts.opening + self.counts.closing < self.wanted()
    }

    /// Returns how many connections the waiters could use right now.
    fn wanted(&self) -> usize {
        let headroom = self.limits.budget.saturating_sub(self.limits.reserve + self.tenant_leases);
        let systems: usize = self.systems.iter().map(|key| self.tenants[key.0].queue.len()).sum();
        self.demand.min(headroom) + systems
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
