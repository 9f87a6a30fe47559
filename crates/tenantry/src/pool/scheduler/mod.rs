//! Who gets which connection: a state machine fed with events and time, without I/O.
//!
//! The scheduler knows connections and tenants as numbers. Every event is a method; what has to
//! happen outside is left in a queue of [`Action`]s that the caller takes afterwards. No event costs
//! more than O(log n) in the number of tenants or waiters, and none but [`Scheduler::tick`] looks at
//! every connection.
//!
//! ```text
//!            Open                opened                    acquire
//!   free ───────────▶ opening ───────────▶ idle / granted ◀─────────▶ leased
//!    ▲                                        │                          │
//!    └──────────────── closing ◀──────────────┴──────────────────────────┘
//!         closed                  Close (idle, old, retired, broken, shut down)
//! ```

mod fair;
mod list;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    time::Duration,
};

use self::{
    fair::{Cap, Place, Ready},
    list::{Links, List},
};

/// A point in time: how long ago the pool began.
pub(crate) type Time = Duration;

/// What the scheduler keeps to.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Connections to the server, at most.
    pub(crate) budget: usize,
    /// Connections that tenants leave to the library itself.
    pub(crate) reserve: usize,
    /// Connections that one tenant may lease, whoever else waits.
    pub(crate) hard_cap: usize,
    /// Connections that one tenant may lease while another waits.
    pub(crate) soft_cap: usize,
    /// Waiting requests of one tenant, at most.
    pub(crate) max_waiting: usize,
    /// How far a tenant may run ahead of its turn because a connection is bound to it already.
    pub(crate) affinity: Duration,
    /// Tenants that a connection serves before it is closed.
    pub(crate) max_tenants_served: usize,
    /// How long a connection may be idle.
    pub(crate) idle_timeout: Option<Duration>,
    /// Idle connections that are kept open all the same.
    pub(crate) min_idle: usize,
    /// Tenant pools that are kept at most, those in use aside.
    pub(crate) max_tenant_pools: usize,
    /// How long a tenant pool is kept after its last use.
    pub(crate) tenant_pool_ttl: Duration,
}

/// A connection, by its place in the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnId(u32);

impl ConnId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A tenant pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TenantKey(usize);

/// A place in a queue. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The library itself: may use the reserve and comes first.
    System,
    /// The shared schema: served like a tenant, never evicted.
    Shared,
    /// A tenant whose connections may be bound to others when it does not need them.
    Pooled,
    /// A tenant whose connections are never bound to anybody else.
    Dedicated,
}

/// How the connection that was granted has to be prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It is bound to this tenant already.
    Hit,
    /// It carries another tenant.
    Rebind,
    /// It was opened just now, or nobody is bound to it.
    Bind,
}

/// The answer to [`Scheduler::acquire`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquire {
    /// Here is a connection.
    Granted(ConnId, How),
    /// Wait for an [`Action::Grant`] or [`Action::Refuse`].
    Waiting(Ticket),
    /// The queue of this tenant is full.
    QueueFull,
    /// The pool is closed.
    Closed,
}

/// What the caller has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action<W> {
    /// Hand the connection to the waiter.
    Grant { waiter: W, conn: ConnId, tenant: TenantKey, how: How },
    /// Tell the waiter that there will be no connection.
    Refuse { waiter: W, why: Refusal },
    /// Open a connection, then call [`Scheduler::opened`] or [`Scheduler::open_failed`].
    Open(ConnId),
    /// Close the idle connection, then call [`Scheduler::closed`].
    Close(ConnId),
    /// The tenant pool is forgotten.
    Evicted { tenant: TenantKey, reason: EvictReason },
}

/// Why a waiter gets no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The connection that was to be opened could not be.
    OpenFailed,
    /// The pool is closing.
    Closed,
}

/// What became of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Released {
    /// The session can serve the next.
    Usable,
    /// The connection has been closed.
    Closed,
}

/// Why a tenant pool was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EvictReason {
    /// It had not been used for the time that tenant pools are kept.
    Ttl,
    /// There were more tenant pools than are kept, and it was the least recently used.
    Capacity,
    /// Somebody asked for it.
    Requested,
    /// The tenant's placement has changed.
    Changed,
    /// The manager was closed.
    Closed,
}

impl EvictReason {
    /// Returns the reason in snake case, as metrics and logs name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ttl => "ttl",
            Self::Capacity => "capacity",
            Self::Requested => "requested",
            Self::Changed => "changed",
            Self::Closed => "closed",
        }
    }
}

/// How many connections are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) opening: usize,
    pub(crate) idle: usize,
    pub(crate) leased: usize,
    pub(crate) closing: usize,
    pub(crate) waiting: usize,
    pub(crate) tenant_pools: usize,
}

/// One tenant pool in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TenantCounts {
    pub(crate) idle: usize,
    pub(crate) leased: usize,
    pub(crate) waiting: usize,
}

#[derive(Debug)]
struct Conn {
    state: State,
    bound: Option<TenantKey>,
    /// The tenants that this connection has served, by their serial.
    served: HashSet<u64>,
    /// Whether it has been bound to a dedicated tenant.
    dedicated: bool,
    expires: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Opening,
    Idle { since: Time, shelf: Shelf },
    Leased { tenant: TenantKey, since: Time, charged: Duration },
    Closing,
}

/// Where an idle connection is kept, by who may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shelf {
    /// Never bound: anybody.
    Fresh,
    /// Bound to nobody any more: anybody but a dedicated tenant.
    Unbound,
    /// Bound to a pooled tenant.
    Pooled,
    /// Bound to a dedicated tenant.
    Dedicated,
}

#[derive(Debug)]
struct Tenant<W> {
    class: Class,
    serial: u64,
    queue: BTreeMap<Ticket, W>,
    idle: List,
    leased: usize,
    virtual_time: Duration,
    typical_hold: Duration,
    /// Its place in [`Ready`], when it stands there.
    place: Option<(Cap, Place)>,
    /// Whether it is in the list of quiet tenants.
    quiet_since: Option<Time>,
    evicted: bool,
}

impl<W> Tenant<W> {
    /// How many more connections it could make use of.
    fn demand(&self, hard_cap: usize) -> usize {
        self.queue.len().min(hard_cap.saturating_sub(self.leased))
    }

    fn is_evictable(&self) -> bool {
        matches!(self.class, Class::Pooled | Class::Dedicated) && !self.evicted
    }
}

/// A lease is never charged less, so that every grant moves a tenant back in the order.
const LEAST_CHARGE: Duration = Duration::from_micros(1);

/// The state machine. `W` is what the caller wants back to reach a waiter.
#[derive(Debug)]
pub(crate) struct Scheduler<W> {
    limits: Limits,
    conns: Vec<Conn>,
    free: Vec<ConnId>,
    /// Links of the shelves, and of each tenant's own idle connections.
    shelf_links: Links,
    tenant_links: Links,
    shelves: [List; 4],
    tenants: slab::Slab<Tenant<W>>,
    /// Tenants that neither lease nor wait, the least recently used first.
    quiet: List,
    quiet_links: Links,
    ready: Ready,
    system: Option<TenantKey>,
    counts: Counts,
    /// Leases of everybody but the system.
    tenant_leases: usize,
    /// What all queues could make use of, caps considered.
    demand: usize,
    next_ticket: u64,
    next_serial: u64,
    closed: bool,
    actions: VecDeque<Action<W>>,
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
            system: None,
            counts: Counts::default(),
            tenant_leases: 0,
            demand: 0,
            next_ticket: 0,
            next_serial: 0,
            closed: false,
            actions: VecDeque::new(),
        }
    }

    /// Takes what has to be done, oldest first.
    pub(crate) fn next_action(&mut self) -> Option<Action<W>> {
        self.actions.pop_front()
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { tenant_pools: self.tenants.len(), ..self.counts }
    }

    pub(crate) fn tenant_counts(&self, key: TenantKey) -> TenantCounts {
        self.tenants.get(key.0).map_or_else(TenantCounts::default, |tenant| TenantCounts {
            idle: tenant.idle.len(),
            leased: tenant.leased,
            waiting: tenant.queue.len(),
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Says whether every connection has been closed.
    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.conns.len()
    }

    /// Begins a tenant pool.
    pub(crate) fn add_tenant(&mut self, now: Time, class: Class) -> TenantKey {
        self.next_serial += 1;
        let key = TenantKey(self.tenants.insert(Tenant {
            class,
            serial: self.next_serial,
            queue: BTreeMap::new(),
            idle: List::default(),
            leased: 0,
            virtual_time: Duration::ZERO,
            typical_hold: LEAST_CHARGE,
            place: None,
            quiet_since: None,
            evicted: false,
        }));
        if class == Class::System {
            self.system = Some(key);
        }
        self.settle_quiet(now, key);
        self.keep_capacity(now, key);
        key
    }

    /// Asks for a connection; `waiter` is called when the answer is to wait.
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
            self.take_idle(conn);
            // Nobody who could use this connection is waiting, so nobody falls behind by it.
            let virtual_time = self.tenants[key.0].virtual_time;
            self.ready.advance(virtual_time);
            self.lease(now, conn, key);
            return Acquire::Granted(conn, how);
        }
        if self.tenants[key.0].queue.len() >= self.limits.max_waiting {
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

    /// Takes a waiter out of its queue. Nothing comes back when it has been answered before.
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

    /// Says that an [`Action::Open`] has succeeded; the connection is closed after `expires`.
    pub(crate) fn opened(&mut self, now: Time, conn: ConnId, expires: Time) {
        debug_assert_eq!(self.conn(conn).state, State::Opening);
        self.counts.opening -= 1;
        self.conn_mut(conn).expires = expires;
        self.offer(now, conn);
    }

    /// Says that an [`Action::Open`] has failed.
    ///
    /// The waiter whose turn it is hears of it, unless an idle connection of somebody else will do.
    pub(crate) fn open_failed(&mut self, now: Time, conn: ConnId) {
        debug_assert_eq!(self.conn(conn).state, State::Opening);
        self.counts.opening -= 1;
        self.free.push(conn);
        *self.conn_mut(conn) = Conn::free();
        if let Some(key) = self.whose_turn() {
            match self.find_idle(key).or_else(|| self.find_rebindable(key)) {
                Some((idle, how)) => {
                    self.take_idle(idle);
                    self.grant(now, idle, key, how);
                }
                None => self.refuse_first(now, key, Refusal::OpenFailed),
            }
        }
        self.make_room(now);
    }

    /// Says that an [`Action::Close`] is done.
    pub(crate) fn closed(&mut self, now: Time, conn: ConnId) {
        debug_assert_eq!(self.conn(conn).state, State::Closing);
        self.counts.closing -= 1;
        self.free.push(conn);
        *self.conn_mut(conn) = Conn::free();
        self.make_room(now);
    }

    /// Forgets a tenant pool. Leases and waiters of it are served to their end.
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

    /// Does what has become due: closes idle and old connections, forgets quiet tenants, keeps the
    /// minimum open.
    pub(crate) fn tick(&mut self, now: Time) {
        if self.closed {
            return;
        }
        for index in 0..self.conns.len() {
            if self.is_due(now, index) {
                self.close_idle(conn_id(index));
            }
        }
        while let Some(index) = self.quiet.front()
            && self.tenants[index]
                .quiet_since
                .is_some_and(|since| now.saturating_sub(since) >= self.limits.tenant_pool_ttl)
        {
            self.evict(now, TenantKey(index), EvictReason::Ttl);
        }
        while self.counts.idle + self.counts.opening < self.limits.min_idle && self.open_one() {}
    }

    /// Ends everything: waiters are refused, idle connections closed, others when they come back.
    pub(crate) fn close(&mut self, now: Time) {
        self.closed = true;
        let keys: Vec<_> = self.tenants.iter().map(|(index, _)| TenantKey(index)).collect();
        for key in keys {
            while self.tenants.get(key.0).is_some_and(|tenant| !tenant.queue.is_empty()) {
                self.refuse_first(now, key, Refusal::Closed);
            }
            self.evict(now, key, EvictReason::Closed);
        }
        for index in 0..self.conns.len() {
            if matches!(self.conns[index].state, State::Idle { .. }) {
                self.close_idle(conn_id(index));
            }
        }
    }

    // What follows decides.

    /// Gives a usable connection to whoever comes next, or puts it on its shelf.
    fn offer(&mut self, now: Time, conn: ConnId) {
        if self.closed || self.is_spent(now, conn) {
            return self.begin_close(conn);
        }
        let Some(key) = self.whose_turn_for(conn) else {
            return self.put_idle(now, conn);
        };
        match self.fit(conn, key) {
            Some(how) => self.grant(now, conn, key, how),
            // It cannot be bound to the one whose turn it is: its place in the budget can.
            None => self.begin_close(conn),
        }
    }

    /// Chooses the tenant that gets this connection: the one it is bound to, as long as that is not
    /// too far ahead, or the one whose turn it is.
    fn whose_turn_for(&self, conn: ConnId) -> Option<TenantKey> {
        let first = self.whose_turn()?;
        let Some(owner) = self.conn(conn).bound else {
            return Some(first);
        };
        if owner == first || Some(first) == self.system {
            return Some(first);
        }
        let (owned, next) = (&self.tenants[owner.0], &self.tenants[first.0]);
        let waits = owned.place.is_some_and(|(cap, _)| {
            cap == Cap::Below || next.place.is_some_and(|(cap, _)| cap == Cap::Above)
        });
        let near = owned.virtual_time <= next.virtual_time + self.limits.affinity;
        Some(if waits && near { owner } else { first })
    }

    /// Returns whose turn it is among those who wait and may lease.
    fn whose_turn(&self) -> Option<TenantKey> {
        let system = self.system.filter(|key| self.tenants[key.0].demand(usize::MAX) > 0);
        system.or_else(|| {
            let place = self.ready.first().filter(|_| self.tenants_may_lease())?;
            Some(TenantKey(place.tenant))
        })
    }

    fn tenants_may_lease(&self) -> bool {
        self.tenant_leases + self.limits.reserve < self.limits.budget
    }

    fn may_lease(&self, key: TenantKey) -> bool {
        let tenant = &self.tenants[key.0];
        tenant.class == Class::System
            || (tenant.leased < self.limits.hard_cap && self.tenants_may_lease())
    }

    /// Says how the connection would be prepared for the tenant; nothing when it cannot be.
    fn fit(&self, conn: ConnId, key: TenantKey) -> Option<How> {
        let conn = self.conn(conn);
        let dedicated = self.tenants[key.0].class == Class::Dedicated;
        match conn.bound {
            Some(bound) if bound == key => Some(How::Hit),
            _ if conn.served.is_empty() => Some(How::Bind),
            _ if dedicated || conn.dedicated => None,
            None => Some(How::Bind),
            Some(_) => Some(How::Rebind),
        }
    }

    /// Finds the idle connection that serves the tenant best without opening one, unless opening
    /// one would be better.
    fn find_idle(&self, key: TenantKey) -> Option<(ConnId, How)> {
        let tenant = &self.tenants[key.0];
        if let Some(own) = tenant.idle.back() {
            return Some((conn_id(own), How::Hit));
        }
        let unbound = self.shelf(Shelf::Unbound).back();
        let fresh = self.shelf(Shelf::Fresh).back();
        let free_for_all = match tenant.class {
            Class::Dedicated => fresh,
            _ => unbound.or(fresh),
        };
        match free_for_all {
            Some(index) => Some((conn_id(index), How::Bind)),
            None if self.free.is_empty() => self.find_rebindable(key),
            None => None,
        }
    }

    /// Finds the least recently used idle connection of another tenant.
    fn find_rebindable(&self, key: TenantKey) -> Option<(ConnId, How)> {
        if self.tenants[key.0].class == Class::Dedicated {
            return None;
        }
        self.shelf(Shelf::Pooled).front().map(|index| (conn_id(index), How::Rebind))
    }

    /// Opens connections for those who wait, or closes one that nobody of them can be bound to.
    fn make_room(&mut self, _now: Time) {
        if self.closed {
            return;
        }
        while self.counts.opening + self.counts.closing < self.wanted() {
            if self.open_one() {
                continue;
            }
            let Some(victim) = self.find_victim() else {
                return;
            };
            self.close_idle(victim);
        }
    }

    /// How many connections those who wait could make use of right now.
    fn wanted(&self) -> usize {
        let headroom = self.limits.budget.saturating_sub(self.limits.reserve + self.tenant_leases);
        let system = self.system.map_or(0, |key| self.tenants[key.0].queue.len());
        self.demand.min(headroom) + system
    }

    /// Finds an idle connection whose place is worth more than itself: those who wait have not taken
    /// it, so it cannot be bound to them.
    fn find_victim(&self) -> Option<ConnId> {
        [Shelf::Unbound, Shelf::Pooled, Shelf::Dedicated]
            .into_iter()
            .find_map(|shelf| self.shelf(shelf).front().map(conn_id))
    }

    fn is_due(&self, now: Time, index: usize) -> bool {
        let State::Idle { since, .. } = self.conns[index].state else {
            return false;
        };
        let too_old = now >= self.conns[index].expires;
        let unused = self.counts.idle > self.limits.min_idle
            && self.limits.idle_timeout.is_some_and(|limit| now.saturating_sub(since) >= limit);
        too_old || unused
    }

    /// Says whether the connection has lived long enough or served enough tenants.
    fn is_spent(&self, now: Time, conn: ConnId) -> bool {
        let conn = self.conn(conn);
        now >= conn.expires
            || conn.served.len() >= self.limits.max_tenants_served
            || (conn.dedicated && conn.bound.is_none())
    }

    // What follows keeps the books.

    fn grant(&mut self, now: Time, conn: ConnId, key: TenantKey, how: How) {
        let first = self.tenants[key.0].queue.first_key_value().map(|(ticket, _)| *ticket);
        let Some(ticket) = first else {
            debug_assert!(false, "a tenant whose turn it is has a waiter");
            return self.put_idle(now, conn);
        };
        // The clock follows the one who is furthest behind, never one that was preferred.
        if let Some(place) = self.ready.first() {
            self.ready.advance(place.virtual_time);
        }
        let mut waiter = None;
        self.change_queue(now, key, |queue| waiter = queue.remove(&ticket));
        self.lease(now, conn, key);
        if let Some(waiter) = waiter {
            self.actions.push_back(Action::Grant { waiter, conn, tenant: key, how });
        }
    }

    fn refuse_first(&mut self, now: Time, key: TenantKey, why: Refusal) {
        let mut first = None;
        self.change_queue(now, key, |queue| first = queue.pop_first());
        if let Some((_, waiter)) = first {
            self.actions.push_back(Action::Refuse { waiter, why });
        }
        self.forget_if_done(key);
    }

    fn lease(&mut self, now: Time, conn: ConnId, key: TenantKey) {
        self.leave_quiet(key);
        let serial = self.tenants[key.0].serial;
        let dedicated = self.tenants[key.0].class == Class::Dedicated;
        let charged = self.tenants[key.0].typical_hold;
        let slot = self.conn_mut(conn);
        slot.state = State::Leased { tenant: key, since: now, charged };
        if slot.bound != Some(key) {
            slot.bound = Some(key);
            slot.served.insert(serial);
            slot.dedicated |= dedicated;
        }
        self.counts.leased += 1;
        self.change_tenant(key, |tenant, clock| {
            tenant.leased += 1;
            tenant.virtual_time = tenant.virtual_time.max(clock) + charged;
        });
        if self.tenants[key.0].class != Class::System {
            self.tenant_leases += 1;
        }
    }

    /// Corrects the charge of a lease by what it really took.
    fn end_lease(&mut self, now: Time, key: TenantKey, held: Duration, charged: Duration) {
        let held = held.max(LEAST_CHARGE);
        self.counts.leased -= 1;
        self.change_tenant(key, |tenant, _| {
            tenant.leased -= 1;
            tenant.virtual_time = (tenant.virtual_time + held).saturating_sub(charged);
            tenant.typical_hold = (tenant.typical_hold * 7 + held) / 8;
        });
        if self.tenants[key.0].class != Class::System {
            self.tenant_leases -= 1;
        }
        self.settle_quiet(now, key);
    }

    fn change_queue(
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
            }
        });
        let after = self.tenants[key.0].queue.len();
        self.counts.waiting = self.counts.waiting + after - before;
        match after {
            0 => self.settle_quiet(now, key),
            _ => self.leave_quiet(key),
        }
    }

    /// Changes a tenant and keeps its place in the order and the demand of all in step.
    fn change_tenant(&mut self, key: TenantKey, change: impl FnOnce(&mut Tenant<W>, Duration)) {
        let (hard_cap, soft_cap) = (self.limits.hard_cap, self.limits.soft_cap);
        let clock = self.ready.clock();
        let tenant = &mut self.tenants[key.0];
        let demand_before = tenant.demand(hard_cap);
        change(tenant, clock);
        if tenant.class == Class::System {
            return;
        }
        let demand = tenant.demand(hard_cap);
        let cap = if tenant.leased < soft_cap { Cap::Below } else { Cap::Above };
        let place = Place { virtual_time: tenant.virtual_time, tenant: key.0 };
        let place = (demand > 0).then_some((cap, place));
        let place_before = std::mem::replace(&mut tenant.place, place);
        self.demand = self.demand + demand - demand_before;
        if place_before != place {
            if let Some((cap, place)) = place_before {
                self.ready.remove(cap, place);
            }
            if let Some((cap, place)) = place {
                self.ready.insert(cap, place);
            }
        }
    }

    fn put_idle(&mut self, now: Time, conn: ConnId) {
        let slot = self.conn(conn);
        let shelf = match slot.bound {
            _ if slot.served.is_empty() => Shelf::Fresh,
            None => Shelf::Unbound,
            Some(_) if slot.dedicated => Shelf::Dedicated,
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

    /// Takes an idle connection off its shelf; the caller says what becomes of it.
    fn take_idle(&mut self, conn: ConnId) {
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

    fn open_one(&mut self) -> bool {
        let Some(conn) = self.free.pop() else {
            return false;
        };
        self.conn_mut(conn).state = State::Opening;
        self.counts.opening += 1;
        self.actions.push_back(Action::Open(conn));
        true
    }

    fn close_idle(&mut self, conn: ConnId) {
        self.take_idle(conn);
        self.begin_close(conn);
    }

    fn begin_close(&mut self, conn: ConnId) {
        self.conn_mut(conn).state = State::Closing;
        self.counts.closing += 1;
        self.actions.push_back(Action::Close(conn));
    }

    /// Marks the place of a connection that is gone as free.
    fn set_free(&mut self, now: Time, conn: ConnId) {
        self.conn_mut(conn).state = State::Closing;
        self.counts.closing += 1;
        self.closed(now, conn);
    }

    /// Makes room among the tenant pools when there are too many; `newest` stays.
    fn keep_capacity(&mut self, now: Time, newest: TenantKey) {
        while self.tenants.len() > self.limits.max_tenant_pools
            && let Some(oldest) = self.quiet.front()
            && oldest != newest.0
        {
            self.evict(now, TenantKey(oldest), EvictReason::Capacity);
        }
    }

    /// Puts a tenant that neither leases nor waits at the end of the quiet ones.
    fn settle_quiet(&mut self, now: Time, key: TenantKey) {
        let tenant = &mut self.tenants[key.0];
        let quiet = tenant.leased == 0 && tenant.queue.is_empty() && tenant.is_evictable();
        if quiet && tenant.quiet_since.is_none() {
            tenant.quiet_since = Some(now);
            self.quiet_links.push_back(&mut self.quiet, key.0);
        }
    }

    fn leave_quiet(&mut self, key: TenantKey) {
        if self.tenants[key.0].quiet_since.take().is_some() {
            self.quiet_links.remove(&mut self.quiet, key.0);
        }
    }

    /// Drops what is left of an evicted tenant once nothing refers to it.
    fn forget_if_done(&mut self, key: TenantKey) {
        let Some(tenant) = self.tenants.get(key.0) else {
            return;
        };
        if tenant.evicted && tenant.leased == 0 && tenant.queue.is_empty() {
            self.tenants.remove(key.0);
        }
    }

    fn conn(&self, conn: ConnId) -> &Conn {
        &self.conns[conn.index()]
    }

    fn conn_mut(&mut self, conn: ConnId) -> &mut Conn {
        &mut self.conns[conn.index()]
    }

    fn shelf(&self, shelf: Shelf) -> &List {
        &self.shelves[shelf as usize]
    }
}

impl Conn {
    fn free() -> Self {
        Self {
            state: State::Free,
            bound: None,
            served: HashSet::new(),
            dedicated: false,
            expires: Time::MAX,
        }
    }
}

fn conn_id(index: usize) -> ConnId {
    ConnId(u32::try_from(index).expect("the budget is checked to be small when it is configured"))
}
