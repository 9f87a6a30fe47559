use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{
    Acquire, Action, Class, ConnId, Counts, How, Limits, OwnLimits, Refusal, Released, Supply,
    TenantCounts, TenantKey, Ticket, Time,
    changes::Changes,
    conn::{Conn, State, conn_id},
    fair::{BURST, Ready},
    heat::Heat,
    list::{Links, List},
    tenant::{LEAST_CHARGE, Tenant},
};
use crate::event::EvictReason;

/// Maximum number of tenant pools evicted in one event: pools that were warmed up together expire
/// together, and requests must not wait for that.
const EVICTED_AT_A_TIME: usize = 256;

/// The state machine. `W` is the caller's handle to a waiter.
#[derive(Debug)]
pub(crate) struct Scheduler<W> {
    pub(super) limits: Limits,
    pub(super) conns: Vec<Conn>,
    pub(super) free: Vec<ConnId>,
    /// Links of the shelves, and of each tenant's own idle connections.
    pub(super) shelf_links: Links,
    pub(super) tenant_links: Links,
    pub(super) shelves: [List; 4],
    pub(super) tenants: slab::Slab<Tenant<W>>,
    /// Tenants without leases and waiters, the least recently used first.
    pub(super) quiet: List,
    pub(super) quiet_links: Links,
    pub(super) ready: Ready,
    /// The system pools, which come first.
    pub(super) systems: Vec<TenantKey>,
    pub(super) counts: Counts,
    /// Number of leases, except those of the system.
    pub(super) tenant_leases: usize,
    /// The most of these since the [last look](Self::usage).
    pub(super) most_tenant_leases: usize,
    /// Sum of the weights of tenants that wait or hold a connection, without the system, in
    /// hundredths.
    pub(super) active_weight: u64,
    pub(super) slow_openings: usize,
    /// Number of connections that all queues could use, subject to the caps.
    pub(super) demand: usize,
    /// The part of it of dedicated tenants.
    pub(super) demand_of_homes: usize,
    /// Number of connections that are being opened for dedicated tenants.
    pub(super) aimed: usize,
    pub(super) changes: Changes,
    /// `true` while an [`Action::Review`] is pending.
    pub(super) reviewing: bool,
    pub(super) next_ticket: u64,
    pub(super) supply: Supply,
    pub(super) closed: bool,
    pub(super) actions: VecDeque<Action<W>>,
}

impl<W> Scheduler<W> {
    pub(crate) fn new(limits: Limits) -> Self {
        let conns = (0..limits.budget).map(|_| Conn::free()).collect();
        let free = (0..limits.budget).rev().map(conn_id).collect();
        Self {
            limits,
            conns,
            free,
            shelf_links: Links::default(),
            tenant_links: Links::default(),
            shelves: [List::default(); 4],
            tenants: slab::Slab::new(),
            quiet: List::default(),
            quiet_links: Links::default(),
            ready: Ready::default(),
            systems: Vec::new(),
            counts: Counts::default(),
            tenant_leases: 0,
            most_tenant_leases: 0,
            active_weight: 0,
            slow_openings: 0,
            demand: 0,
            demand_of_homes: 0,
            aimed: 0,
            changes: Changes::default(),
            reviewing: false,
            next_ticket: 0,
            supply: Supply::default(),
            closed: false,
            actions: VecDeque::new(),
        }
    }

    /// Takes the oldest pending action.
    pub(crate) fn next_action(&mut self) -> Option<Action<W>> {
        self.actions.pop_front()
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            tenant_pools: self.tenants.len(),
            leased_to_tenants: self.tenant_leases,
            ..self.counts
        }
    }

    pub(crate) fn tenant_counts(&self, key: TenantKey) -> TenantCounts {
        self.tenants.get(key.0).map_or_else(TenantCounts::default, |tenant| TenantCounts {
            idle: tenant.idle.len(),
            leased: tenant.leased,
            waiting: tenant.queue.len(),
            granted: tenant.granted,
            cap: tenant.cap(&self.limits),
        })
    }

    /// Returns `true` if occupants other than the system use every connection available to them,
    /// and one waits.
    pub(crate) fn is_saturated(&self) -> bool {
        !self.tenants_may_lease() && self.counts.waiting > 0
    }

    /// Lists the leases of all except the system, with their owner and start.
    pub(crate) fn leases(&self) -> impl Iterator<Item = (TenantKey, Time)> {
        self.conns
            .iter()
            .filter_map(|conn| match conn.state {
                State::Leased { tenant, since, .. } => Some((tenant, since)),
                _ => None,
            })
            .filter(|(key, _)| self.tenants[key.0].class != Class::System)
    }

    /// Returns the owner and start of the lease at a place.
    pub(crate) fn lease_at(&self, place: usize) -> Option<(TenantKey, Time)> {
        match self.conns.get(place)?.state {
            State::Leased { tenant, since, .. } => Some((tenant, since)),
            _ => None,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Returns `true` if every connection has been closed.
    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.conns.len()
    }

    /// Creates a tenant pool.
    pub(crate) fn add_tenant(&mut self, now: Time, class: Class) -> TenantKey {
        let key = TenantKey(self.tenants.insert(Tenant {
            class,
            own: OwnLimits::default(),
            queue: BTreeMap::new(),
            idle: List::default(),
            leased: 0,
            aimed: 0,
            served_at: now,
            heat: Heat::default(),
            granted: 0,
            virtual_time: Duration::ZERO,
            typical_hold: LEAST_CHARGE,
            place: None,
            quiet_since: None,
            evicted: false,
        }));
        if class == Class::System {
            self.systems.push(key);
        }
        self.settle_quiet(now, key);
        self.keep_capacity(now, key);
        key
    }

    /// Requests a connection; `waiter` is called if it has to wait.
    pub(crate) fn acquire(
        &mut self,
        now: Time,
        key: TenantKey,
        waiter: impl FnOnce() -> W,
    ) -> Acquire {
        if self.closed {
            return Acquire::Closed;
        }
        if self.tenants[key.0].queue.is_empty()
            && self.may_lease(key)
            && let Some((conn, how)) = self.find_idle(key)
        {
            self.lease_idle(now, conn, key);
            return Acquire::Granted(conn, how);
        }
        if self.supply == Supply::Cut {
            return Acquire::Cut;
        }
        if self.tenants[key.0].queue.len() >= self.max_waiting(key) {
            return Acquire::QueueFull;
        }
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.change_queue(now, key, |queue| {
            queue.insert(ticket, waiter());
        });
        self.make_room(now);
        Acquire::Waiting(ticket)
    }

    /// Requests an idle connection, without waiting or opening one. If no request waits, one that
    /// is bound to another tenant will do.
    pub(crate) fn try_acquire(&mut self, now: Time, key: TenantKey) -> Option<(ConnId, How)> {
        if self.closed || !self.tenants[key.0].queue.is_empty() || !self.may_lease(key) {
            return None;
        }
        let anybody_s = || self.find_rebindable(key).filter(|_| self.demand == 0);
        let (conn, how) = self.find_idle(key).or_else(anybody_s)?;
        self.lease_idle(now, conn, key);
        Some((conn, how))
    }

    fn lease_idle(&mut self, now: Time, conn: ConnId, key: TenantKey) {
        self.take_idle(conn);
        if self.demand == 0 {
            // Connections taken while no request waits are not charged.
            let virtual_time = self.tenants[key.0].virtual_time;
            self.ready.advance(virtual_time.saturating_sub(BURST));
        }
        self.lease(now, conn, key);
    }

    /// Removes a waiter from its queue. Returns `None` if it was already answered.
    pub(crate) fn cancel(&mut self, now: Time, key: TenantKey, ticket: Ticket) -> Option<W> {
        let queue = &self.tenants.get(key.0)?.queue;
        if !queue.contains_key(&ticket) {
            return None;
        }
        let mut waiter = None;
        self.change_queue(now, key, |queue| waiter = queue.remove(&ticket));
        self.forget_if_done(key);
        waiter
    }

    /// Temporarily takes out the idle connection of a place, as a lease of the tenant that it is
    /// bound to, so that the pool can check it. It does not count as granted. An unbound connection
    /// is closed.
    pub(crate) fn take_out(&mut self, now: Time, place: usize) -> Option<(ConnId, TenantKey)> {
        let conn = conn_id(place);
        let slot = self.conn(conn);
        let (State::Idle { .. }, bound) = (slot.state, slot.bound) else {
            return None;
        };
        let Some(key) = bound else {
            self.close_idle(conn);
            return None;
        };
        if self.closed || !self.may_lease(key) {
            return None;
        }
        self.take_idle(conn);
        self.lease(now, conn, key);
        self.tenants[key.0].granted -= 1;
        if self.tenants[key.0].is_a_tenant() {
            self.counts.granted -= 1;
        }
        Some((conn, key))
    }

    /// Closes the connection of a place if it is idle.
    pub(crate) fn close_if_idle(&mut self, place: usize) {
        let conn = conn_id(place);
        if matches!(self.conn(conn).state, State::Idle { .. }) {
            self.close_idle(conn);
        }
    }

    /// Takes a lease back.
    pub(crate) fn release(&mut self, now: Time, conn: ConnId, released: Released) {
        let State::Leased { tenant, since, charged } = self.conn(conn).state else {
            debug_assert!(false, "only a lease is released");
            return;
        };
        self.end_lease(now, tenant, now.saturating_sub(since), charged);
        match released {
            Released::Closed => self.set_free(now, conn),
            Released::Usable => {
                if self.tenants[tenant.0].evicted {
                    self.conn_mut(conn).bound = None;
                }
                self.offer(now, conn);
            }
        }
        self.forget_if_done(tenant);
    }

    /// Reports that an [`Action::Open`] has succeeded; the connection is closed after `expires`.
    pub(crate) fn opened(&mut self, now: Time, conn: ConnId, expires: Time) {
        if let State::Opening { since, .. } = self.conn(conn).state {
            let (took, budget) = (now.saturating_sub(since), self.limits.budget);
            self.changes.opened(now, took, self.counts.opening, budget);
        }
        self.end_opening(conn);
        let slot = self.conn_mut(conn);
        (slot.opened, slot.expires) = (now, expires);
        self.settle_at_home(conn);
        self.offer(now, conn);
    }

    /// Reports that an [`Action::Open`] is slow: waiters get an idle connection of another tenant
    /// instead.
    pub(crate) fn opening_is_slow(&mut self, now: Time, conn: ConnId) {
        if let State::Opening { slow: slow @ false, .. } = &mut self.conn_mut(conn).state {
            *slow = true;
            self.slow_openings += 1;
            self.make_room(now);
        }
    }

    /// Reports that an [`Action::Open`] has failed.
    ///
    /// The waiter whose turn it is gets the error, unless an idle connection of another tenant will
    /// do.
    pub(crate) fn open_failed(&mut self, now: Time, conn: ConnId) {
        self.end_opening(conn);
        let aim = self.aimed_at(conn).or_else(|| self.whose_turn());
        self.free.push(conn);
        *self.conn_mut(conn) = Conn::free();
        if let Some(key) = aim {
            match self.find_idle(key).or_else(|| self.find_rebindable(key)) {
                Some((idle, how)) => {
                    self.take_idle(idle);
                    self.grant(now, idle, key, how);
                }
                // Existing connections will be returned, and will do.
                None if self.supply == Supply::Short => {}
                None => self.refuse_first(now, key, Refusal::OpenFailed),
            }
        }
        self.make_room(now);
    }

    /// Reports that an [`Action::Open`] that no request waited for was abandoned.
    pub(crate) fn open_given_up(&mut self, now: Time, conn: ConnId) {
        self.end_opening(conn);
        self.free.push(conn);
        *self.conn_mut(conn) = Conn::free();
        self.make_room(now);
    }

    /// Sets whether connections can be opened. If not, all waiters are refused.
    pub(crate) fn set_supply(&mut self, now: Time, supply: Supply) {
        self.supply = supply;
        match supply {
            Supply::Normal | Supply::Short => self.make_room(now),
            Supply::Cut => self.refuse_all(now, Refusal::Cut),
        }
    }

    pub(crate) fn supply(&self) -> Supply {
        self.supply
    }

    /// Opens a connection that no request needs, whatever the supply, if there is a place for it.
    pub(crate) fn open_probe(&mut self, now: Time) -> Option<ConnId> {
        if self.closed { None } else { self.open_in_a_free_place(now) }
    }

    /// Returns the number of connections that exist and may be used.
    pub(crate) fn alive(&self) -> usize {
        self.counts.idle + self.counts.leased
    }

    /// Reports that an [`Action::Close`] is done.
    pub(crate) fn closed(&mut self, now: Time, conn: ConnId) {
        debug_assert_eq!(self.conn(conn).state, State::Closing);
        self.counts.closing -= 1;
        self.free.push(conn);
        *self.conn_mut(conn) = Conn::free();
        self.make_room(now);
    }

    /// Evicts a tenant pool. Its leases and waiters are served to their end, and count against the
    /// cap of a pool that is [recreated](Self::begin_anew) meanwhile.
    pub(crate) fn evict(&mut self, now: Time, key: TenantKey, reason: EvictReason) {
        let Some(tenant) = self.tenants.get_mut(key.0) else {
            return;
        };
        if !tenant.is_evictable() {
            return;
        }
        tenant.evicted = true;
        self.actions.push_back(Action::Evicted { tenant: key, reason });
        self.leave_quiet(key);
        while let Some(index) = self.tenants[key.0].idle.front() {
            let conn = conn_id(index);
            self.take_idle(conn);
            self.conn_mut(conn).bound = None;
            self.offer(now, conn);
        }
        self.forget_if_done(key);
    }

    /// Recreates a tenant pool that was evicted and is still in use, possibly with another class.
    pub(crate) fn begin_anew(&mut self, now: Time, key: TenantKey, class: Class) {
        // Leased connections belong to the former pool, and return unbound.
        for conn in &mut self.conns {
            if matches!(conn.state, State::Leased { tenant, .. } if tenant == key) {
                conn.bound = None;
            }
        }
        self.change_tenant(key, |tenant, _| {
            tenant.evicted = false;
            tenant.granted = 0;
            tenant.class = class;
            tenant.own = OwnLimits::default();
        });
        self.keep_capacity(now, key);
    }

    /// Performs due work: closes idle and expired connections, evicts quiet tenants, keeps the
    /// minimum open. Returns `true` if more tenant pools are due than are evicted in one event.
    pub(crate) fn tick(&mut self, now: Time) -> bool {
        if self.closed {
            return false;
        }
        for index in 0..self.conns.len() {
            if self.is_due(now, index) {
                self.close_idle(conn_id(index));
            }
        }
        for _ in 0..EVICTED_AT_A_TIME {
            let Some(key) = self.longest_quiet(now) else { break };
            self.evict(now, key, EvictReason::Ttl);
        }
        while self.counts.idle + self.counts.opening < self.limits.min_idle && self.open_one(now) {}
        self.longest_quiet(now).is_some()
    }

    /// Returns the tenant pool that has been quiet longest, if it has expired.
    fn longest_quiet(&self, now: Time) -> Option<TenantKey> {
        let index = self.quiet.front()?;
        let since = self.tenants[index].quiet_since?;
        (now.saturating_sub(since) >= self.limits.tenant_pool_ttl).then_some(TenantKey(index))
    }

    /// Shuts down: refuses waiters, closes idle connections, and others on return.
    pub(crate) fn close(&mut self, now: Time) {
        self.closed = true;
        self.refuse_all(now, Refusal::Closed);
        for key in self.keys() {
            self.evict(now, key, EvictReason::Closed);
        }
        for index in 0..self.conns.len() {
            if matches!(self.conns[index].state, State::Idle { .. }) {
                self.close_idle(conn_id(index));
            }
        }
    }

    /// Refuses the waiters of all but the system.
    pub(crate) fn bar(&mut self, now: Time) {
        for key in self.keys() {
            if self.tenants.get(key.0).is_some_and(|tenant| tenant.class != Class::System) {
                self.refuse_queue(now, key, Refusal::Barred);
            }
        }
    }

    fn refuse_all(&mut self, now: Time, why: Refusal) {
        for key in self.keys() {
            self.refuse_queue(now, key, why);
        }
    }

    fn refuse_queue(&mut self, now: Time, key: TenantKey, why: Refusal) {
        while self.tenants.get(key.0).is_some_and(|tenant| !tenant.queue.is_empty()) {
            self.refuse_first(now, key, why);
        }
    }

    fn keys(&self) -> Vec<TenantKey> {
        self.tenants.iter().map(|(index, _)| TenantKey(index)).collect()
    }
}
