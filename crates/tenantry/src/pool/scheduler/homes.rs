//! Where dedicated connections are: which tenant the next one is opened for, and whose place it
//! takes over.
//!
//! A dedicated connection serves one tenant for its life, so that serving another one costs a
//! connect, which takes as long as hundreds of statements. So:
//!
//! - A tenant that has connections waits for these, unless its waiting requests would hold them for
//!   longer than a connect takes, or it has waited for [`PATIENCE`].
//! - Few places change hands at a time: see [`changes`](super::changes). Meanwhile, other requests
//!   for the same tenants arrive, and one connect serves them all. The tenant with the longest queue
//!   is next, but no tenant is passed over for longer than [`PASSED_OVER`].
//! - A connection stays for [`STAY`] at least. Then the one whose tenant uses it least is closed.
//!
//! Using a free place closes no connection, so it is used at once.

use std::time::Duration;

use super::{
    Action, Class, ConnId, Scheduler, Supply, TenantKey, Time,
    conn::{Shelf, State, conn_id},
    heat::Heat,
    tenant::Tenant,
};

/// How long opening a connection usually takes, on a busy server.
const OPENING: Duration = Duration::from_millis(10);

/// How long a dedicated tenant waits for one of its own connections before it takes over the place
/// of another one. So much hold time its own connections serve it ahead of its turn.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long a connection stays open before another tenant takes over its place: as long as it took
/// to open it.
const STAY: Duration = OPENING;

/// How long a tenant waits at most while others with longer queues go first.
const PASSED_OVER: Duration = Duration::from_millis(250);

/// Of these first tenants in the order, the one with the longest queue is next.
const LOOK_AHEAD: usize = 64;

impl<W> Tenant<W> {
    /// Returns `true` if another connection is worth closing that of another tenant.
    fn is_worth_a_place(&self, now: Time) -> bool {
        let has = self.leased + self.aimed + self.idle.len();
        let requests = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        let work = self.typical_hold.saturating_mul(requests);
        has == 0
            || self.class == Class::Upkeep
            || work.as_nanos() / OPENING.as_nanos() >= has as u128
            || (self.aimed == 0 && self.waits_for(now, PATIENCE))
    }

    fn waits_for(&self, now: Time, long: Duration) -> bool {
        now.saturating_sub(self.served_at) >= long
    }
}

impl<W> Scheduler<W> {
    /// Decides again who takes over a place, because time has passed.
    pub(crate) fn review(&mut self, now: Time) {
        self.reviewing = false;
        self.make_room(now);
    }

    /// Asks for a review, if a dedicated tenant waits beside idle connections.
    pub(super) fn review_later(&mut self) {
        let waits = self.demand_of_homes > 0 && self.counts.idle > 0;
        if waits && self.supply == Supply::Normal && !self.reviewing {
            self.reviewing = true;
            self.actions.push_back(Action::Review(STAY));
        }
    }

    pub(super) fn note_use_of_home(&mut self, now: Time, key: TenantKey) {
        let tenant = &mut self.tenants[key.0];
        tenant.served_at = now;
        tenant.heat = tenant.heat.used(now);
    }

    /// Makes a connection that was opened for a tenant that tenant's own, also if it no longer
    /// waits: the connection may be in its database.
    pub(super) fn settle_at_home(&mut self, conn: ConnId) {
        let Some(aim) = self.conn(conn).aim else { return };
        let lives = |tenant: &Tenant<W>| !tenant.evicted && tenant.class.keeps_connections();
        if self.tenants.get(aim.0).is_some_and(lives) {
            let slot = self.conn_mut(conn);
            (slot.bound, slot.dedicated) = (Some(aim), true);
        }
    }

    /// Returns how far a tenant may run ahead of its turn on its own connections.
    pub(super) fn affinity_of(&self, owner: TenantKey) -> Duration {
        let affinity = self.limits.affinity;
        match self.tenants[owner.0].class {
            Class::Dedicated if !affinity.is_zero() => affinity.max(PATIENCE),
            _ => affinity,
        }
    }

    /// Finds the dedicated tenant that a connection in a free place is opened for. None if any
    /// tenant may have it.
    pub(super) fn next_aim(&self, now: Time) -> Option<TenantKey> {
        let first = self.whose_turn()?;
        let lacks_any = self.counts.opening - self.aimed < self.wanted_by_any();
        if lacks_any && !self.tenants[first.0].class.keeps_connections() {
            return None;
        }
        let worth = self.next_home(|tenant| tenant.is_worth_a_place(now), now);
        worth.or_else(|| if lacks_any { None } else { self.next_home(|_| true, now) })
    }

    /// Finds the next dedicated tenant that this holds for, among those for which not enough
    /// connections are being opened.
    fn next_home(&self, is_due: impl Fn(&Tenant<W>) -> bool, now: Time) -> Option<TenantKey> {
        if !self.tenants_may_lease() {
            return None;
        }
        let mut next: Option<(usize, TenantKey)> = None;
        for index in self.ready.dedicated_in_turn().take(LOOK_AHEAD) {
            let tenant = &self.tenants[index];
            if tenant.aimed >= tenant.demand(&self.limits) || !is_due(tenant) {
                continue;
            }
            if tenant.class == Class::Upkeep || tenant.waits_for(now, PASSED_OVER) {
                return Some(TenantKey(index));
            }
            if next.is_none_or(|(longest, _)| tenant.queue.len() > longest) {
                next = Some((tenant.queue.len(), TenantKey(index)));
            }
        }
        next.map(|(_, key)| key)
    }

    /// Finds an idle connection that is worth closing for the sake of its place: for a request that
    /// any connection would do for, or for a dedicated tenant.
    pub(super) fn find_takeover(&self, now: Time) -> Option<ConnId> {
        // Closing one to open another is useless while none can be opened.
        if self.supply != Supply::Normal {
            return None;
        }
        let under_way = self.counts.opening - self.aimed + self.counts.closing;
        let any = || self.find_victim().filter(|_| under_way < self.wanted_by_any());
        let first = self.whose_turn()?;
        match self.tenants[first.0].class.keeps_connections() {
            false => any().or_else(|| self.find_home_to_take(now)),
            true => self.find_home_to_take(now).or_else(any),
        }
    }

    /// Returns how many connections could be used that were not opened for a dedicated tenant.
    fn wanted_by_any(&self) -> usize {
        (self.demand - self.demand_of_homes).min(self.headroom()) + self.wanted_by_system()
    }

    /// Finds an idle connection whose place a dedicated tenant takes over.
    fn find_home_to_take(&self, now: Time) -> Option<ConnId> {
        let changing = self.aimed + self.counts.closing;
        if changing >= self.demand_of_homes.min(self.headroom()) {
            return None;
        }
        if let Some(nobodys) = self.shelf(Shelf::Unbound).front() {
            return self.next_home(|_| true, now).map(|_| conn_id(nobodys));
        }
        let key = self.next_home(|tenant| tenant.is_worth_a_place(now), now)?;
        if self.tenants[key.0].class == Class::Upkeep {
            return self.find_victim();
        }
        if !self.changes.allow_another(self.aimed, self.counts.closing, self.limits.budget) {
            return None;
        }
        let pooled = self.shelf(Shelf::Pooled).front().map(conn_id);
        pooled.or_else(|| self.find_coldest(now, key))
    }

    /// Finds the idle dedicated connection that is missed least: one that its tenant has not needed
    /// beside others, or else that of the tenant used least.
    fn find_coldest(&self, now: Time, taker: TenantKey) -> Option<ConnId> {
        let idle = self.shelf(Shelf::Dedicated).iter(&self.shelf_links);
        let stayed = idle.filter(|index| {
            let stayed = now.saturating_sub(self.conns[*index].opened) >= STAY;
            stayed && !self.is_awaited(*index, taker)
        });
        let heat = |index: &usize| self.heat_of(now, *index).0;
        stayed.min_by(|one, other| heat(one).total_cmp(&heat(other))).map(conn_id)
    }

    /// Returns `true` if the tenant of an idle connection waits for it, and precedes the other one: it
    /// gets the connection as soon as tenants may lease another one.
    fn is_awaited(&self, index: usize, taker: TenantKey) -> bool {
        let awaits =
            |owner: TenantKey| self.tenants[owner.0].place.is_some() && self.is_near(owner, taker);
        self.conns[index].bound.is_some_and(awaits)
    }

    /// Returns `true` if the tenant of an idle connection has others, and did not need this one.
    fn is_spare(&self, now: Time, index: usize) -> bool {
        let State::Idle { since, .. } = self.conns[index].state else { return false };
        let has = |key: TenantKey| self.tenants[key.0].idle.len() + self.tenants[key.0].leased;
        let has_others = self.conns[index].bound.is_some_and(|key| has(key) > 1);
        has_others && now.saturating_sub(since) >= OPENING
    }

    fn heat_of(&self, now: Time, index: usize) -> Heat {
        match self.conns[index].bound {
            Some(key) if !self.is_spare(now, index) => self.tenants[key.0].heat,
            _ => Heat::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Acquire, How, Limits, Released, tests::limits},
        *,
    };

    const MS: Duration = Duration::from_millis(1);

    /// A scheduler whose places are taken by one idle connection for each of these tenants.
    fn full(places: usize) -> (Scheduler<usize>, Vec<TenantKey>, Vec<ConnId>) {
        let mut scheduler = Scheduler::new(Limits { reserve: 0, ..limits(places) });
        let keys: Vec<_> =
            (0..=places).map(|_| scheduler.add_tenant(Time::ZERO, Class::Dedicated)).collect();
        let conns: Vec<_> = keys[..places].iter().map(|key| open(&mut scheduler, *key)).collect();
        conns.iter().for_each(|conn| scheduler.release(MS, *conn, Released::Usable));
        (scheduler, keys, conns)
    }

    fn open(scheduler: &mut Scheduler<usize>, key: TenantKey) -> ConnId {
        scheduler.acquire(Time::ZERO, key, || 0);
        let Some(Action::Open(conn)) = scheduler.next_action() else { panic!("nothing is opened") };
        assert_eq!(scheduler.aim_of(conn), Some(key));
        scheduler.opened(Time::ZERO, conn, Time::MAX);
        assert!(matches!(scheduler.next_action(), Some(Action::Grant { how: How::Bind, .. })));
        conn
    }

    fn serve(scheduler: &mut Scheduler<usize>, now: Time, key: TenantKey) {
        let Acquire::Granted(conn, How::Hit) = scheduler.acquire(now, key, || 0) else {
            panic!("its connection is idle");
        };
        scheduler.release(now, conn, Released::Usable);
    }

    #[test]
    fn the_tenant_that_is_used_least_loses_its_connection() {
        let (mut scheduler, keys, conns) = full(3);
        for _ in 0..10 {
            serve(&mut scheduler, MS * 20, keys[0]);
            serve(&mut scheduler, MS * 20, keys[2]);
        }
        // The least recently used one would be that of the first tenant.
        serve(&mut scheduler, MS * 30, keys[1]);
        assert!(matches!(scheduler.acquire(MS * 40, keys[3], || 1), Acquire::Waiting(_)));
        assert_eq!(scheduler.next_action(), Some(Action::Close(conns[1])));
    }

    #[test]
    fn a_connection_stays_for_a_while() {
        let (mut scheduler, keys, conns) = full(1);
        assert!(matches!(scheduler.acquire(MS * 2, keys[1], || 1), Acquire::Waiting(_)));
        assert_eq!(scheduler.next_action(), Some(Action::Review(STAY)));
        serve(&mut scheduler, MS * 3, keys[0]);
        assert_eq!(scheduler.next_action(), None);
        scheduler.review(MS * 2 + STAY);
        assert_eq!(scheduler.next_action(), Some(Action::Close(conns[0])));
    }

    #[test]
    fn a_connection_whose_tenant_waits_for_it_is_not_taken_over() {
        // One connection at a time can be leased.
        let mut scheduler = Scheduler::new(Limits { reserve: 1, ..limits(2) });
        let keys = [(); 3].map(|()| scheduler.add_tenant(Time::ZERO, Class::Dedicated));
        let hot = open(&mut scheduler, keys[0]);
        scheduler.acquire(MS, keys[1], || 1);
        scheduler.release(MS, hot, Released::Usable);
        let Some(Action::Open(opened)) = scheduler.next_action() else { panic!("none is opened") };
        assert_eq!(scheduler.acquire(MS, keys[0], || 0), Acquire::Granted(hot, How::Hit));
        scheduler.opened(MS, opened, Time::MAX);
        assert!(matches!(scheduler.acquire(MS * 20, keys[2], || 2), Acquire::Waiting(_)));
        scheduler.review(MS * 20);
        scheduler.release(MS * 20, hot, Released::Usable);
        let granted = std::iter::from_fn(|| scheduler.next_action()).find_map(|action| {
            assert_ne!(action, Action::Close(opened), "it has not served its tenant yet");
            match action {
                Action::Grant { waiter, conn, .. } => Some((waiter, conn)),
                _ => None,
            }
        });
        assert_eq!(granted, Some((1, opened)));
    }

    #[test]
    fn a_tenant_waits_for_its_own_connection_before_it_takes_anothers_place() {
        let (mut scheduler, keys, conns) = full(2);
        let now = MS * 20;
        assert_eq!(scheduler.acquire(now, keys[0], || 0), Acquire::Granted(conns[0], How::Hit));
        assert!(matches!(scheduler.acquire(now, keys[0], || 1), Acquire::Waiting(_)));
        assert_eq!(scheduler.next_action(), Some(Action::Review(STAY)));
        scheduler.review(now + STAY);
        assert_eq!(scheduler.next_action(), Some(Action::Review(STAY)));
        scheduler.review(now + PATIENCE);
        assert_eq!(scheduler.next_action(), Some(Action::Close(conns[1])));
    }

    #[test]
    fn few_places_change_hands_at_a_time_and_the_longest_queue_is_next() {
        let (mut scheduler, _, _) = full(8);
        let waiting = [1, 1, 1, 3, 1, 2].map(|requests| {
            let key = scheduler.add_tenant(MS, Class::Dedicated);
            for _ in 0..requests {
                scheduler.acquire(MS * 20, key, || 0);
            }
            key
        });
        let closed: Vec<_> = std::iter::from_fn(|| scheduler.next_action())
            .filter_map(|action| match action {
                Action::Close(conn) => Some(conn),
                _ => None,
            })
            .collect();
        assert_eq!(closed.len(), 4, "half of eight");
        for (conn, next) in closed.into_iter().zip([waiting[3], waiting[5]]) {
            scheduler.closed(MS * 30, conn);
            let opened =
                std::iter::from_fn(|| scheduler.next_action()).find_map(|action| match action {
                    Action::Open(conn) => Some(conn),
                    _ => None,
                });
            assert_eq!(opened.and_then(|conn| scheduler.aim_of(conn)), Some(next));
        }
    }
}
