//! Properties of the scheduler under arbitrary events, and its fairness in simulated time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use proptest::prelude::*;

use super::{
    conn::{Shelf, conn_id},
    *,
};
use crate::event::EvictReason;

const MS: Duration = Duration::from_millis(1);

pub(super) fn limits(budget: usize) -> Limits {
    Limits {
        budget,
        reserve: 1,
        cap: budget,
        max_waiting: 1_000,
        affinity: MS * 20,
        idle_timeout: Some(MS * 1_000),
        min_idle: 0,
        max_tenant_pools: 100,
        tenant_pool_ttl: MS * 5_000,
    }
}

/// Simulates the environment of a scheduler, and checks every decision.
struct World {
    scheduler: Scheduler<u64>,
    limits: Limits,
    /// The limits of single tenants, by their keys.
    own: BTreeMap<usize, OwnLimits>,
    now: Time,
    tenants: Vec<(Class, Option<TenantKey>)>,
    leases: BTreeMap<usize, (ConnId, TenantKey)>,
    waiting: BTreeMap<u64, (TenantKey, Ticket)>,
    opening: BTreeSet<usize>,
    closing: BTreeSet<usize>,
    /// The owners of each connection since it was opened, the latest last.
    history: BTreeMap<usize, Vec<Name>>,
    /// The current owner of a key: keys are reused.
    names: BTreeMap<usize, Name>,
    /// `true` while a connection is requested that no waiter needs.
    probing: bool,
    /// Connections in use when the limits were last lowered, and not returned yet.
    excess: Excess,
    /// `true` while a review is pending.
    reviewing: bool,
    /// `true` if a connect was just reported as slow.
    slowly: bool,
    next_waiter: u64,
    next_name: u64,
}

/// The amounts that may exceed the limits after these were lowered; they never grow again.
#[derive(Default)]
struct Excess {
    used: usize,
    leased: usize,
    by_tenant: BTreeMap<usize, usize>,
}

/// A tenant pool, identified by a number that is never reused.
type Name = (u64, Class);

#[derive(Debug, Clone)]
enum Event {
    Acquire(usize),
    Release(usize, bool),
    Cancel(usize),
    Opened(usize, bool),
    OpensSlowly(usize),
    Closed(usize),
    Pass(u64),
    Evict(usize),
    Supply(Supply),
    Probe,
    Resize(Limits),
    Limit(usize, OwnLimits),
    Review,
}

const CLASSES: [Class; 10] = [
    Class::System,
    Class::System,
    Class::Shared,
    Class::Pooled,
    Class::Pooled,
    Class::Pooled,
    Class::Dedicated,
    Class::Dedicated,
    Class::Dedicated,
    Class::Upkeep,
];

impl World {
    fn new(limits: Limits) -> Self {
        Self {
            scheduler: Scheduler::new(limits.clone()),
            limits,
            own: BTreeMap::new(),
            now: MS,
            tenants: CLASSES.map(|class| (class, None)).to_vec(),
            leases: BTreeMap::new(),
            waiting: BTreeMap::new(),
            opening: BTreeSet::new(),
            closing: BTreeSet::new(),
            history: BTreeMap::new(),
            names: BTreeMap::new(),
            probing: false,
            excess: Excess::default(),
            reviewing: false,
            slowly: false,
            next_waiter: 0,
            next_name: 0,
        }
    }

    fn play(&mut self, event: &Event) {
        self.now += MS;
        match *event {
            Event::Acquire(tenant) => self.acquire(tenant % self.tenants.len()),
            Event::Release(nth, usable) => self.release(nth, usable),
            Event::Cancel(nth) => {
                let Some((&waiter, &(key, ticket))) = pick(&self.waiting, nth) else {
                    return;
                };
                assert_eq!(self.scheduler.cancel(self.now, key, ticket), Some(waiter));
                self.waiting.remove(&waiter);
            }
            Event::Opened(nth, well) => self.opened(nth, well),
            Event::OpensSlowly(nth) => {
                if let Some(conn) = nth_of(&self.opening, nth) {
                    self.scheduler.opening_is_slow(self.now, conn_id(conn));
                    self.slowly = true;
                }
            }
            Event::Closed(nth) => {
                let Some(conn) = nth_of(&self.closing, nth) else {
                    return;
                };
                self.closing.remove(&conn);
                self.scheduler.closed(self.now, conn_id(conn));
            }
            Event::Pass(time) => {
                self.now += MS * u32::try_from(time).unwrap();
                self.scheduler.tick(self.now);
            }
            Event::Evict(tenant) => {
                let index = tenant % self.tenants.len();
                if let Some(key) = self.tenants[index].1 {
                    self.scheduler.evict(self.now, key, EvictReason::Requested);
                }
            }
            Event::Supply(supply) => self.scheduler.set_supply(self.now, supply),
            Event::Resize(ref limits) => {
                self.limits = limits.clone();
                self.before_resize();
                self.scheduler.resize(self.now, limits.clone());
            }
            Event::Limit(tenant, own) => {
                let key = self.key_of(tenant % self.tenants.len());
                if self.names[&key.0].1 != Class::System {
                    self.before_resize();
                    self.own.insert(key.0, own);
                    self.scheduler.set_limits(self.now, key, own);
                }
            }
            Event::Review => {
                if std::mem::take(&mut self.reviewing) {
                    self.now += MS * 10;
                    self.scheduler.review(self.now);
                }
            }
            Event::Probe => self.probing = self.scheduler.open_probe(self.now).is_some(),
        }
        self.settle();
    }

    fn key_of(&mut self, tenant: usize) -> TenantKey {
        if let (_, Some(key)) = self.tenants[tenant] {
            return key;
        }
        let class = self.tenants[tenant].0;
        let key = self.scheduler.add_tenant(self.now, class);
        self.next_name += 1;
        self.names.insert(key.0, (self.next_name, class));
        self.own.remove(&key.0);
        self.tenants[tenant].1 = Some(key);
        self.carry_out();
        key
    }

    fn acquire(&mut self, tenant: usize) {
        let key = self.key_of(tenant);
        self.next_waiter += 1;
        let waiter = self.next_waiter;
        match self.scheduler.acquire(self.now, key, || waiter) {
            Acquire::Granted(conn, how) => self.granted(conn, key, how),
            Acquire::Waiting(ticket) => {
                let waiting = self.waiting.values().filter(|(other, _)| *other == key).count();
                assert!(waiting < self.limits.max_waiting_of(&self.own_of(key.0)), "too many wait");
                self.waiting.insert(waiter, (key, ticket));
            }
            Acquire::QueueFull => {
                let waiting = self.waiting.values().filter(|(other, _)| *other == key).count();
                let most = self.limits.max_waiting_of(&self.own_of(key.0));
                assert!(waiting >= most, "refused with a place left");
            }
            Acquire::Cut => assert_eq!(self.scheduler.supply(), Supply::Cut),
            Acquire::Closed => panic!("nobody has closed it"),
        }
        self.settle();
    }

    fn release(&mut self, nth: usize, usable: bool) {
        let Some((&index, &(conn, _))) = pick(&self.leases, nth) else {
            return;
        };
        self.leases.remove(&index);
        let released = if usable { Released::Usable } else { Released::Closed };
        self.scheduler.release(self.now, conn, released);
    }

    fn opened(&mut self, nth: usize, well: bool) {
        let Some(conn) = nth_of(&self.opening, nth) else {
            return;
        };
        self.opening.remove(&conn);
        if well {
            self.history.insert(conn, Vec::new());
            self.scheduler.opened(self.now, conn_id(conn), self.now + MS * 3_000);
        } else {
            self.scheduler.open_failed(self.now, conn_id(conn));
        }
    }

    fn settle(&mut self) {
        self.carry_out();
        self.check();
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.scheduler.next_action() {
            match action {
                Action::Grant { waiter, conn, tenant, how } => {
                    let (asked, _) =
                        self.waiting.remove(&waiter).expect("a waiter is granted once");
                    assert_eq!(asked, tenant);
                    self.granted(conn, tenant, how);
                }
                Action::Refuse { waiter, .. } => {
                    self.waiting.remove(&waiter).expect("a waiter is refused once");
                }
                Action::Open(conn) => {
                    let may = std::mem::take(&mut self.probing)
                        || self.scheduler.supply() == Supply::Normal;
                    assert!(may, "a connection is opened while none can be");
                    assert!(self.opening.insert(conn.index()));
                }
                Action::Review(_) => {
                    assert!(!std::mem::replace(&mut self.reviewing, true), "two reviews");
                }
                Action::Close(conn) => assert!(self.closing.insert(conn.index())),
                Action::Forgotten(_) => {}
                Action::Evicted { tenant, .. } => {
                    for (_, key) in &mut self.tenants {
                        key.take_if(|key| *key == tenant);
                    }
                }
            }
        }
    }

    fn granted(&mut self, conn: ConnId, tenant: TenantKey, how: How) {
        let index = conn.index();
        assert!(!self.opening.contains(&index) && !self.closing.contains(&index));
        assert!(self.leases.insert(index, (conn, tenant)).is_none(), "leased twice");
        let name = self.names[&tenant.0];
        let served = self.history.get_mut(&index).expect("it was opened");
        match how {
            How::Hit => assert_eq!(served.last(), Some(&name), "a hit is bound already"),
            How::Rebind => assert!(served.last().is_some_and(|last| *last != name)),
            How::Bind => {}
        }
        let mut others = served.iter().filter(|other| **other != name);
        match name.1 {
            Class::Dedicated | Class::Upkeep => {
                assert_eq!(others.count(), 0, "never anybody else's");
            }
            _ => assert!(others.all(|(_, class)| !class.keeps_connections())),
        }
        served.push(name);
    }

    fn check(&mut self) {
        let counts = self.scheduler.counts();
        assert_eq!(counts.leased, self.leases.len());
        assert_eq!(counts.opening, self.opening.len());
        assert_eq!(counts.closing, self.closing.len());
        assert_eq!(counts.waiting, self.waiting.len());
        let used = counts.leased + counts.opening + counts.closing + counts.idle;
        assert!(used <= self.limits.budget.max(self.excess.used), "the budget is exceeded");
        let places = self.scheduler.conns.len();
        assert_eq!(used + self.scheduler.free.len(), places, "a place was lost");
        assert!(places >= self.limits.budget, "there are too few places");
        let serving = used - counts.closing;
        assert!(serving <= self.limits.budget || counts.idle == 0, "idle above the budget");
        let mut by_tenant = BTreeMap::<usize, usize>::new();
        for (_, key) in self.leases.values() {
            *by_tenant.entry(key.0).or_default() += 1;
        }
        let tenants = by_tenant.iter().filter(|(key, _)| self.names[key].1 != Class::System);
        let mut capped = tenants
            .clone()
            .filter(|(key, _)| !matches!(self.names[key].1, Class::Shared | Class::Upkeep));
        let most = |key| self.excess.by_tenant.get(key).copied().unwrap_or_default();
        assert!(
            capped.all(|(key, leased)| *leased <= self.cap_of(*key).max(most(key))),
            "cap exceeded"
        );
        let leased_by_tenants: usize = tenants.map(|(_, leased)| leased).sum();
        let most = self.limits.places_for_tenants().max(self.excess.leased);
        assert!(leased_by_tenants <= most, "reserve is taken");
        self.excess.used = self.excess.used.min(used);
        self.excess.leased = self.excess.leased.min(leased_by_tenants);
        for (key, most) in &mut self.excess.by_tenant {
            *most = (*most).min(by_tenant.get(key).copied().unwrap_or_default());
        }
        self.check_no_idleness(&by_tenant, leased_by_tenants);
    }

    /// Records the connections in use before the limits may be lowered.
    fn before_resize(&mut self) {
        let counts = self.scheduler.counts();
        self.excess.used = counts.leased + counts.opening + counts.closing + counts.idle;
        self.excess.leased = counts.leased_to_tenants;
        self.excess.by_tenant.clear();
        for (_, key) in self.leases.values() {
            *self.excess.by_tenant.entry(key.0).or_default() += 1;
        }
    }

    fn own_of(&self, key: usize) -> OwnLimits {
        self.own.get(&key).copied().unwrap_or_default()
    }

    /// Returns how many connections a tenant may have.
    fn cap_of(&self, key: usize) -> usize {
        match (self.names[&key].1, self.own_of(key).cap) {
            (Class::Shared | Class::Upkeep, _) => self.limits.budget,
            (_, Some(cap)) => cap.min(self.limits.budget - self.limits.reserve),
            (_, None) => self.limits.cap,
        }
    }

    /// Every waiter that may get a lease has a connection on the way.
    fn check_no_idleness(&mut self, by_tenant: &BTreeMap<usize, usize>, leased_by_tenants: usize) {
        if self.scheduler.supply() == Supply::Cut {
            assert!(self.waiting.is_empty(), "somebody waits for what will not come");
        }
        let headroom = leased_by_tenants + self.limits.reserve < self.limits.budget;
        let eligible = self.waiting.values().any(|(key, _)| {
            let leased = by_tenant.get(&key.0).copied().unwrap_or_default();
            let cap = self.cap_of(key.0);
            self.names[&key.0].1 == Class::System || (headroom && leased < cap)
        });
        let slowly = std::mem::take(&mut self.slowly);
        if eligible && (self.scheduler.supply() == Supply::Short || slowly) {
            let takes_any = self.takes_any(by_tenant, headroom);
            let shelves = [Shelf::Fresh, Shelf::Unbound, Shelf::Pooled];
            let idle: usize = shelves.map(|shelf| self.scheduler.shelf(shelf).len()).iter().sum();
            let under_way = !self.opening.is_empty() || !self.closing.is_empty();
            assert!(
                !takes_any || (under_way && !slowly) || idle == 0,
                "somebody waits beside an idle connection"
            );
        } else if eligible {
            let under_way = !self.opening.is_empty() || !self.closing.is_empty();
            let all_leased = self.leases.len() >= self.limits.budget;
            // Whether a dedicated tenant takes over a place is decided again after a while.
            let later = self.reviewing && !self.takes_any(by_tenant, headroom);
            assert!(
                under_way || all_leased || later,
                "a request waits, and nothing is done for it"
            );
        }
    }

    /// Returns `true` if a request waits that may get any connection.
    fn takes_any(&self, by_tenant: &BTreeMap<usize, usize>, headroom: bool) -> bool {
        self.waiting.values().any(|(key, _)| {
            let leased = by_tenant.get(&key.0).copied().unwrap_or_default();
            let class = self.names[&key.0].1;
            class == Class::System
                || (!class.keeps_connections() && headroom && leased < self.cap_of(key.0))
        })
    }

    /// Completes all pending work.
    fn run_dry(&mut self) {
        self.play(&Event::Supply(Supply::Normal));
        for _ in 0..10_000 {
            if self.waiting.is_empty() && self.leases.is_empty() && self.opening.is_empty() {
                return;
            }
            self.play(&Event::Opened(0, true));
            self.play(&Event::Closed(0));
            self.play(&Event::Release(0, true));
            self.play(&Event::Review);
        }
        panic!("{} still wait", self.waiting.len());
    }
}

fn pick<K: Ord, V>(map: &BTreeMap<K, V>, nth: usize) -> Option<(&K, &V)> {
    map.iter().nth(nth.checked_rem(map.len())?)
}

fn nth_of(set: &BTreeSet<usize>, nth: usize) -> Option<usize> {
    set.iter().nth(nth.checked_rem(set.len())?).copied()
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..CLASSES.len()).prop_map(Event::Acquire),
        6 => (any::<usize>(), prop::bool::weighted(0.9)).prop_map(|(n, ok)| Event::Release(n, ok)),
        2 => any::<usize>().prop_map(Event::Cancel),
        4 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(n, ok)| Event::Opened(n, ok)),
        1 => any::<usize>().prop_map(Event::OpensSlowly),
        4 => any::<usize>().prop_map(Event::Closed),
        1 => (0..4_000_u64).prop_map(Event::Pass),
        2 => Just(Event::Review),
        1 => (0..CLASSES.len()).prop_map(Event::Evict),
        1 => prop_oneof![
            3 => Just(Supply::Normal),
            1 => Just(Supply::Short),
            1 => Just(Supply::Cut),
        ].prop_map(Event::Supply),
        1 => Just(Event::Probe),
        1 => any_limits().prop_map(Event::Resize),
        2 => (0..CLASSES.len(), any_own_limits()).prop_map(|(n, own)| Event::Limit(n, own)),
    ]
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (2..8_usize, 0..2_usize, 1..8_usize, 1..40_u32, 0..3_usize).prop_map(
        |(budget, reserve, cap, affinity, min_idle)| Limits {
            reserve,
            cap: cap.min(budget),
            max_waiting: 20,
            affinity: MS * affinity,
            min_idle: min_idle.min(budget),
            max_tenant_pools: 3,
            ..limits(budget)
        },
    )
}

fn any_own_limits() -> impl Strategy<Value = OwnLimits> {
    let weight = prop_oneof![Just(0.1), Just(1.0), Just(3.0), Just(100.0)];
    let cap = prop::option::of(1..9_usize);
    (cap, prop::option::of(1..4_usize), weight).prop_map(|(cap, max_waiting, weight)| OwnLimits {
        cap,
        max_waiting,
        weight: Weight::new(weight),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn keeps_budget_and_caps_and_answers_everybody(
        limits in any_limits(),
        events in prop::collection::vec(event(), 1..250),
    ) {
        let mut world = World::new(limits);
        for event in &events {
            world.play(event);
        }
        world.run_dry();
        world.scheduler.close(world.now);
        world.carry_out();
        while !world.closing.is_empty() {
            world.play(&Event::Closed(0));
        }
        prop_assert!(world.scheduler.is_empty(), "a connection is left after the end");
    }

    #[test]
    fn closing_answers_every_waiter(
        limits in any_limits(),
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new(limits);
        for event in &events {
            world.play(event);
        }
        world.scheduler.close(world.now);
        world.carry_out();
        prop_assert!(world.waiting.is_empty());
        while !(world.leases.is_empty() && world.opening.is_empty() && world.closing.is_empty()) {
            world.release(0, true);
            world.opened(0, true);
            world.carry_out();
            if let Some(conn) = nth_of(&world.closing, 0) {
                world.closing.remove(&conn);
                world.scheduler.closed(world.now, conn_id(conn));
            }
        }
        prop_assert!(world.scheduler.is_empty());
    }
}

/// Serves requests in simulated time. A tenant is given by its hold time and its constant number of
/// waiting requests.
fn simulate(budget: usize, tenants: &[(Duration, usize)], end: Duration) -> Vec<Duration> {
    let limited = tenants.iter().map(|_| OwnLimits::default());
    simulate_limited(budget, tenants, limited.collect(), end)
}

/// Serves requests of tenants with these limits.
fn simulate_limited(
    budget: usize,
    tenants: &[(Duration, usize)],
    own: Vec<OwnLimits>,
    end: Duration,
) -> Vec<Duration> {
    let mut scheduler = Scheduler::new(Limits { reserve: 0, ..limits(budget) });
    let keys: Vec<_> =
        tenants.iter().map(|_| scheduler.add_tenant(Time::ZERO, Class::Pooled)).collect();
    for (key, own) in keys.iter().zip(own) {
        scheduler.set_limits(Time::ZERO, *key, own);
    }
    let mut busy = BTreeSet::new();
    let mut held = vec![Duration::ZERO; tenants.len()];
    for (tenant, (_, requests)) in tenants.iter().enumerate() {
        for _ in 0..*requests {
            scheduler.acquire(Time::ZERO, keys[tenant], || tenant);
        }
    }
    let mut now = Time::ZERO;
    while now < end {
        while let Some(action) = scheduler.next_action() {
            match action {
                Action::Open(conn) => scheduler.opened(now, conn, Time::MAX),
                Action::Grant { waiter, conn, .. } => {
                    held[waiter] += tenants[waiter].0;
                    busy.insert((now + tenants[waiter].0, conn.0, waiter));
                    scheduler.acquire(now, keys[waiter], || waiter);
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        let (time, conn, _) = busy.pop_first().expect("somebody always has a connection");
        now = time;
        scheduler.release(now, ConnId(conn), Released::Usable);
    }
    held
}

#[test]
fn shares_hold_time_and_not_turns() {
    let held = simulate(4, &[(MS * 40, 20), (MS * 2, 20), (MS * 10, 20)], MS * 20_000);
    let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
    assert!(*most < *least * 12 / 10, "{held:?}");
}

fn weighing(weight: f64) -> OwnLimits {
    OwnLimits { weight: Weight::new(weight), ..OwnLimits::default() }
}

#[test]
fn shares_hold_time_by_weight() {
    for (weights, hold) in [
        ([3.0, 1.0, 1.0], [5, 5, 5]),
        ([3.0, 1.0, 1.0], [40, 2, 10]),
        ([0.5, 1.0, 2.0], [5, 5, 5]),
        ([10.0, 1.0, 0.1], [5, 5, 5]),
        ([100.0, 1.0, 1.0], [10, 50, 50]),
    ] {
        let tenants = hold.map(|hold| (MS * hold, 40));
        let own = weights.map(weighing).to_vec();
        let held = simulate_limited(4, &tenants, own, MS * 120_000);
        let shares: f64 = weights.iter().sum();
        let all: Duration = held.iter().sum();
        for (held, weight) in held.iter().zip(weights) {
            let (is, due) = (held.as_secs_f64() / all.as_secs_f64(), weight / shares);
            assert!((is - due).abs() < due * 0.03, "{weights:?} {hold:?}: {is:.4} of {due:.4}");
        }
    }
}

/// The others have exactly their share, so that none of them is ever far ahead of the clock: each
/// could keep its connections, and the light tenant would wait beyond its turn.
#[test]
fn affinity_takes_no_turn_away() {
    for hold in [[50, 50, 50], [50, 50, 5], [150, 150, 150]] {
        let tenants = hold.map(|hold| (MS * hold, 40));
        let own = [1.0, 1.0, 0.1].map(weighing).to_vec();
        let held = simulate_limited(4, &tenants, own, MS * 120_000);
        let all: Duration = held.iter().sum();
        let (is, due) = (held[2].as_secs_f64() / all.as_secs_f64(), 0.1 / 2.1);
        assert!((is - due).abs() < due * 0.06, "{hold:?}: {is:.4} of {due:.4}");
    }
}

#[test]
fn a_weight_without_contention_slows_nobody_down() {
    let alone = simulate(4, &[(MS * 5, 40)], MS * 10_000);
    let light = simulate_limited(4, &[(MS * 5, 40)], vec![weighing(0.1)], MS * 10_000);
    assert_eq!(alone, light);
}

#[test]
fn a_cap_of_its_own_takes_effect_at_once() {
    let mut world = World::new(Limits { reserve: 1, cap: 3, ..limits(9) });
    let capped = |cap| OwnLimits { cap: Some(cap), ..OwnLimits::default() };
    for _ in 0..10 {
        world.play(&Event::Acquire(3));
    }
    let open_all = |world: &mut World| {
        while !world.opening.is_empty() {
            world.play(&Event::Opened(0, true));
        }
    };
    open_all(&mut world);
    assert_eq!((world.leases.len(), world.waiting.len()), (3, 7));
    world.play(&Event::Limit(3, capped(5)));
    open_all(&mut world);
    assert_eq!((world.leases.len(), world.waiting.len()), (5, 5), "waiters profit at once");
    world.play(&Event::Limit(3, capped(100)));
    open_all(&mut world);
    assert_eq!(world.leases.len(), 8, "the reserve stays");
    world.play(&Event::Limit(3, capped(1)));
    for left in [7, 6, 5, 4, 3, 2, 1] {
        world.play(&Event::Release(0, true));
        assert_eq!((world.leases.len(), world.waiting.len()), (left, 2), "none is taken away");
    }
    world.play(&Event::Release(0, true));
    assert_eq!((world.leases.len(), world.waiting.len()), (1, 1));
    world.play(&Event::Limit(3, OwnLimits::default()));
    assert_eq!((world.leases.len(), world.waiting.len()), (2, 0), "as all others again");
}

#[test]
fn a_shorter_queue_applies_to_new_requests() {
    let mut scheduler = Scheduler::new(Limits { reserve: 0, ..limits(1) });
    let tenant = scheduler.add_tenant(Time::ZERO, Class::Pooled);
    let ask = |scheduler: &mut Scheduler<_>| scheduler.acquire(MS, tenant, || 0);
    for _ in 0..4 {
        assert!(matches!(ask(&mut scheduler), Acquire::Waiting(_)));
    }
    let short = OwnLimits { max_waiting: Some(2), ..OwnLimits::default() };
    scheduler.set_limits(MS, tenant, short);
    assert_eq!(ask(&mut scheduler), Acquire::QueueFull);
    assert_eq!(scheduler.counts().waiting, 4, "those that wait stay");
    let long = OwnLimits { max_waiting: Some(5), ..OwnLimits::default() };
    scheduler.set_limits(MS, tenant, long);
    assert!(matches!(ask(&mut scheduler), Acquire::Waiting(_)));
    assert_eq!(ask(&mut scheduler), Acquire::QueueFull);
}

#[test]
fn a_weight_that_changes_during_a_lease_leaves_no_debt_behind() {
    let mut scheduler = Scheduler::<u64>::new(Limits { reserve: 0, ..limits(1) });
    let tenant = scheduler.add_tenant(Time::ZERO, Class::Pooled);
    let conn = scheduler.open_probe(Time::ZERO).expect("there is a place");
    scheduler.opened(Time::ZERO, conn, Time::MAX);
    let mut now = Time::ZERO;
    let mut hold = |scheduler: &mut Scheduler<_>, then: f64| {
        assert!(matches!(scheduler.acquire(now, tenant, || 0), Acquire::Granted(..)));
        now += MS * 10;
        scheduler.set_limits(now, tenant, weighing(then));
        scheduler.release(now, conn, Released::Usable);
        let clock = scheduler.ready.clock();
        scheduler.tenants[tenant.0].virtual_time.saturating_sub(clock)
    };
    // Until ten milliseconds are what it usually takes.
    for _ in 0..100 {
        hold(&mut scheduler, 1.0);
    }
    let lead = hold(&mut scheduler, 0.1);
    // Charged a hundred milliseconds at the weight of 0.1, and then settled at that of 100.
    let after = hold(&mut scheduler, 100.0);
    assert!(after < lead + MS * 10, "{lead:?}, then {after:?}");
    // Charged a tenth of a millisecond at the weight of 100, and then settled at that of 0.1.
    let before = after;
    let after = hold(&mut scheduler, 0.1);
    assert!(after > before, "{before:?}, then {after:?}");
}

#[test]
fn a_flood_does_not_hold_up_a_quiet_tenant() {
    let mut scheduler = Scheduler::new(Limits { reserve: 0, ..limits(4) });
    let flood = scheduler.add_tenant(Time::ZERO, Class::Pooled);
    let quiet = scheduler.add_tenant(Time::ZERO, Class::Pooled);
    for _ in 0..500 {
        scheduler.acquire(Time::ZERO, flood, || "flood");
    }
    let mut busy = VecDeque::new();
    let mut grants_until_quiet = None;
    for step in 1..200_u32 {
        let now = MS * 5 * step;
        if step == 100 {
            scheduler.acquire(now, quiet, || "quiet");
            grants_until_quiet = Some(0);
        }
        while let Some(action) = scheduler.next_action() {
            match action {
                Action::Open(conn) => scheduler.opened(now, conn, Time::MAX),
                Action::Grant { waiter: "quiet", .. } => {
                    // It continues until it is 50 ms of hold time ahead of its share, which is half
                    // of the 5 ms of each statement, plus 20 ms on connections that are bound to
                    // it.
                    assert!(grants_until_quiet.unwrap() <= 29, "{grants_until_quiet:?}");
                    return;
                }
                Action::Grant { conn, .. } => {
                    busy.push_back(conn);
                    grants_until_quiet = grants_until_quiet.map(|grants| grants + 1);
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        scheduler.release(now, busy.pop_front().unwrap(), Released::Usable);
    }
    panic!("the quiet tenant was never served");
}

#[test]
fn the_library_comes_first_and_its_requests_in_their_order() {
    let mut scheduler = Scheduler::new(Limits { reserve: 0, ..limits(1) });
    let tenant = scheduler.add_tenant(Time::ZERO, Class::Pooled);
    let systems = [(); 2].map(|()| scheduler.add_tenant(Time::ZERO, Class::System));
    scheduler.acquire(MS, tenant, || 0);
    let Some(Action::Open(conn)) = scheduler.next_action() else { panic!("nothing is opened") };
    scheduler.opened(MS, conn, Time::MAX);
    for (waiter, key) in [(9, tenant), (1, systems[1]), (2, systems[0]), (3, systems[1])] {
        assert!(matches!(scheduler.acquire(MS, key, || waiter), Acquire::Waiting(_)));
    }
    let mut served = Vec::new();
    for _ in 0..5 {
        let Some(Action::Grant { waiter, .. }) = scheduler.next_action() else { panic!("idle") };
        served.push(waiter);
        scheduler.release(MS * 2, conn, Released::Usable);
    }
    assert_eq!(served, [0, 1, 2, 3, 9]);
}

#[test]
fn being_quiet_saves_nothing_up() {
    let mut scheduler = Scheduler::new(Limits { reserve: 0, ..limits(1) });
    let busy = scheduler.add_tenant(Time::ZERO, Class::Pooled);
    let late = scheduler.add_tenant(Time::ZERO, Class::Pooled);
    // One tenant works alone for a long time, while no other waits.
    scheduler.acquire(Time::ZERO, busy, || 0);
    let Some(Action::Open(conn)) = scheduler.next_action() else { panic!("nothing is opened") };
    scheduler.opened(Time::ZERO, conn, Time::MAX);
    let mut now = Time::ZERO;
    for _ in 0..100 {
        now += MS * 100;
        scheduler.release(now, conn, Released::Usable);
        assert_eq!(scheduler.acquire(now, busy, || 0), Acquire::Granted(conn, How::Hit));
    }
    while scheduler.next_action().is_some() {}
    // Then both flood: the late one may not make up for ten seconds.
    for _ in 0..50 {
        scheduler.acquire(now, busy, || 0);
        scheduler.acquire(now, late, || 1);
    }
    let mut served = [0, 0];
    for _ in 0..40 {
        now += MS * 10;
        scheduler.release(now, conn, Released::Usable);
        let Some(Action::Grant { waiter, .. }) = scheduler.next_action() else { panic!("idle") };
        served[waiter] += 1;
    }
    assert!(served[0] >= 10, "{served:?}");
}

#[test]
fn a_dedicated_tenant_takes_a_place_and_not_a_session() {
    let mut scheduler = Scheduler::new(Limits { reserve: 0, ..limits(1) });
    let pooled = scheduler.add_tenant(Time::ZERO, Class::Pooled);
    let dedicated = scheduler.add_tenant(Time::ZERO, Class::Dedicated);
    scheduler.acquire(MS, pooled, || 0);
    let Some(Action::Open(conn)) = scheduler.next_action() else { panic!("nothing is opened") };
    scheduler.opened(MS, conn, Time::MAX);
    assert!(matches!(scheduler.next_action(), Some(Action::Grant { how: How::Bind, .. })));
    scheduler.release(MS * 2, conn, Released::Usable);
    assert!(matches!(scheduler.acquire(MS * 3, dedicated, || 1), Acquire::Waiting(_)));
    assert_eq!(scheduler.next_action(), Some(Action::Close(conn)));
    scheduler.closed(MS * 4, conn);
    assert_eq!(scheduler.next_action(), Some(Action::Open(conn)));
}

#[test]
fn a_burst_takes_over_idle_connections_and_closes_none() {
    let mut scheduler = Scheduler::new(Limits { reserve: 0, ..limits(3) });
    let quiet = scheduler.add_tenant(Time::ZERO, Class::Pooled);
    let bursting = scheduler.add_tenant(Time::ZERO, Class::Pooled);
    let mut leases = Vec::new();
    for _ in 0..2 {
        scheduler.acquire(MS, quiet, || 0);
        let Some(Action::Open(conn)) = scheduler.next_action() else { panic!("nothing is opened") };
        scheduler.opened(MS, conn, Time::MAX);
        assert!(matches!(scheduler.next_action(), Some(Action::Grant { .. })));
        leases.push(conn);
    }
    for conn in leases {
        scheduler.release(MS * 2, conn, Released::Usable);
    }
    for waiter in 1..=3 {
        scheduler.acquire(MS * 3, bursting, || waiter);
    }
    assert!(matches!(scheduler.next_action(), Some(Action::Open(_))));
    for _ in 0..2 {
        assert!(matches!(scheduler.next_action(), Some(Action::Grant { how: How::Rebind, .. })));
    }
    assert_eq!(scheduler.next_action(), None);
}

#[test]
fn what_an_evicted_pool_still_holds_counts_against_the_cap() {
    let mut scheduler = Scheduler::new(Limits { reserve: 0, cap: 2, ..limits(2) });
    let tenant = scheduler.add_tenant(Time::ZERO, Class::Pooled);
    let mut leased = Vec::new();
    for waiter in 0..2 {
        scheduler.acquire(MS, tenant, || waiter);
        let Some(Action::Open(conn)) = scheduler.next_action() else { panic!("nothing is opened") };
        scheduler.opened(MS, conn, Time::MAX);
        assert!(matches!(scheduler.next_action(), Some(Action::Grant { .. })));
        leased.push(conn);
    }
    scheduler.evict(MS, tenant, EvictReason::Changed);
    assert!(matches!(scheduler.next_action(), Some(Action::Evicted { .. })));
    scheduler.begin_anew(MS, tenant, Class::Dedicated);
    assert!(matches!(scheduler.acquire(MS, tenant, || 2), Acquire::Waiting(_)));
    assert_eq!(scheduler.next_action(), None, "it has two, and may have no more");
    // Its former connection is unbound and never goes to a dedicated tenant, but its place does.
    scheduler.release(MS * 2, leased[0], Released::Usable);
    assert_eq!(scheduler.next_action(), Some(Action::Close(leased[0])));
    scheduler.closed(MS * 2, leased[0]);
    assert!(matches!(scheduler.next_action(), Some(Action::Open(_))));
}

#[test]
fn an_evicted_pool_is_forgotten_with_its_last_lease() {
    let mut scheduler = Scheduler::new(Limits { reserve: 0, ..limits(2) });
    let tenant = scheduler.add_tenant(Time::ZERO, Class::Pooled);
    scheduler.acquire(MS, tenant, || 0);
    let Some(Action::Open(conn)) = scheduler.next_action() else { panic!("nothing is opened") };
    scheduler.opened(MS, conn, Time::MAX);
    assert!(matches!(scheduler.next_action(), Some(Action::Grant { .. })));
    scheduler.evict(MS, tenant, EvictReason::Requested);
    assert!(matches!(scheduler.next_action(), Some(Action::Evicted { .. })));
    assert_eq!(scheduler.next_action(), None);
    scheduler.release(MS * 2, conn, Released::Usable);
    assert_eq!(scheduler.next_action(), Some(Action::Forgotten(tenant)));
}

#[test]
fn a_slow_opening_keeps_nobody_from_idle_connections() {
    let mut scheduler = Scheduler::new(Limits { reserve: 0, ..limits(4) });
    let [quiet, late, later] = [(); 3].map(|()| scheduler.add_tenant(MS, Class::Pooled));
    let mut idle = Vec::new();
    for _ in 0..2 {
        scheduler.acquire(MS, quiet, || 0);
        let Some(Action::Open(conn)) = scheduler.next_action() else { panic!("nothing is opened") };
        scheduler.opened(MS, conn, Time::MAX);
        assert!(matches!(scheduler.next_action(), Some(Action::Grant { .. })));
        idle.push(conn);
    }
    idle.iter().for_each(|conn| scheduler.release(MS * 2, *conn, Released::Usable));
    assert!(matches!(scheduler.acquire(MS * 3, late, || 1), Acquire::Waiting(_)));
    let Some(Action::Open(conn)) = scheduler.next_action() else { panic!("nothing is opened") };
    assert_eq!(scheduler.next_action(), None);
    scheduler.opening_is_slow(MS * 60, conn);
    let granted = Action::Grant { waiter: 1, conn: idle[0], tenant: late, how: How::Rebind };
    assert_eq!(scheduler.next_action(), Some(granted));
    // The same holds for requests that arrive during the shortage.
    let granted = Acquire::Granted(idle[1], How::Rebind);
    assert_eq!(scheduler.acquire(MS * 61, later, || 2), granted);
    scheduler.opened(MS * 90, conn, Time::MAX);
    assert_eq!(scheduler.counts().idle, 1);
}

#[test]
fn tenants_that_become_quiet_together_are_forgotten_a_few_at_a_time() {
    let mut scheduler = Scheduler::<u64>::new(Limits { max_tenant_pools: 1_000, ..limits(4) });
    for _ in 0..600 {
        scheduler.add_tenant(MS, Class::Pooled);
    }
    assert!(!scheduler.tick(MS * 4_000));
    assert_eq!(scheduler.counts().tenant_pools, 600);
    assert!(scheduler.tick(MS * 5_001));
    assert_eq!(scheduler.counts().tenant_pools, 600 - 256);
    assert!(scheduler.tick(MS * 5_001));
    assert!(!scheduler.tick(MS * 5_001));
    assert_eq!(scheduler.counts().tenant_pools, 0);
}

#[test]
fn a_smaller_budget_takes_idle_connections_first_and_leased_ones_as_they_come_back() {
    let mut world = World::new(limits(6));
    for tenant in [3, 3, 3, 4, 4] {
        world.play(&Event::Acquire(tenant));
        world.play(&Event::Opened(0, true));
    }
    world.play(&Event::Release(0, true));
    assert_eq!((world.leases.len(), world.scheduler.counts().idle), (4, 1));
    world.play(&Event::Resize(Limits { reserve: 0, ..limits(2) }));
    assert_eq!((world.closing.len(), world.scheduler.counts().idle), (1, 0));
    world.play(&Event::Closed(0));
    world.play(&Event::Acquire(5));
    assert_eq!((world.opening.len(), world.waiting.len()), (0, 1), "four are in use");
    for left in [3, 2] {
        world.play(&Event::Release(0, true));
        assert_eq!((world.leases.len(), world.closing.len()), (left, 1));
        world.play(&Event::Closed(0));
        assert_eq!(world.waiting.len(), 1);
    }
    world.play(&Event::Release(0, true));
    assert_eq!(world.waiting.len(), 0, "within the budget it is handed on");
    world.play(&Event::Resize(limits(9)));
    for _ in 0..6 {
        world.play(&Event::Acquire(3));
    }
    assert_eq!(world.opening.len(), 6, "a larger budget can be used at once");
}
