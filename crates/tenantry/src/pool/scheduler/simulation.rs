//! Complete workloads in simulated time: waits compared with a single queue.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// The requests of a workload.
#[derive(Debug, Clone)]
struct Load {
    connections: usize,
    /// Maximum number of connections of one tenant.
    cap: usize,
    /// Hold time of a request, varied by up to a tenth.
    hold: Duration,
    /// Tasks that each request a random tenant of the crowd, as soon as they are answered.
    crowd: Crowd,
    /// Tasks of one additional tenant that send a new request as soon as they are answered.
    flood: usize,
    /// Tenants that send requests at this average interval, answered or not.
    steady: (usize, Duration),
}

#[derive(Debug, Clone, Copy)]
struct Crowd {
    tasks: usize,
    tenants: usize,
}

const NOBODY: Crowd = Crowd { tasks: 0, tenants: 1 };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Crowd,
    Flood,
    Steady,
}

/// A request that waits or is being served.
#[derive(Debug, Clone, Copy)]
struct Request {
    tenant: usize,
    kind: Kind,
    asked: Duration,
}

/// Serves requests in some order.
trait Queue {
    /// Takes a request, and returns the connection if it is served at once.
    fn ask(&mut self, now: Duration, request: Request) -> Option<usize>;
    /// Takes a connection back, and returns the next served request and its connection.
    fn release(&mut self, now: Duration, conn: usize) -> Option<(Request, usize)>;
}

/// First come, first served.
struct Fifo {
    free: Vec<usize>,
    waiting: VecDeque<Request>,
}

impl Queue for Fifo {
    fn ask(&mut self, _: Duration, request: Request) -> Option<usize> {
        let free = self.free.pop();
        if free.is_none() {
            self.waiting.push_back(request);
        }
        free
    }

    fn release(&mut self, _: Duration, conn: usize) -> Option<(Request, usize)> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.free.push(conn);
        }
        next.map(|next| (next, conn))
    }
}

/// The scheduler, with all connections open from the start.
struct Ours {
    scheduler: Scheduler<Request>,
    keys: Vec<TenantKey>,
}

impl Ours {
    fn new(load: &Load, tenants: usize) -> Self {
        let mut scheduler = Scheduler::new(Limits {
            cap: load.cap,
            reserve: 0,
            max_tenant_pools: 10_000,
            ..tests::limits(load.connections)
        });
        let keys: Vec<_> =
            (0..tenants).map(|_| scheduler.add_tenant(Time::ZERO, Class::Pooled)).collect();
        for _ in 0..load.connections {
            let conn = scheduler.open_probe(Time::ZERO).expect("there is a place");
            scheduler.opened(Time::ZERO, conn, Time::MAX);
        }
        while scheduler.next_action().is_some() {}
        Self { scheduler, keys }
    }
}

impl Queue for Ours {
    fn ask(&mut self, now: Duration, request: Request) -> Option<usize> {
        match self.scheduler.acquire(now, self.keys[request.tenant], || request) {
            Acquire::Granted(conn, _) => Some(conn.index()),
            Acquire::Waiting(_) => None,
            other => panic!("unexpected {other:?}"),
        }
    }

    fn release(&mut self, now: Duration, conn: usize) -> Option<(Request, usize)> {
        self.scheduler.release(now, conn::conn_id(conn), Released::Usable);
        match self.scheduler.next_action() {
            Some(Action::Grant { waiter, conn, .. }) => Some((waiter, conn.index())),
            None => None,
            other => panic!("unexpected {other:?}"),
        }
    }
}

/// Pseudo-random numbers, the same in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// Returns a number between 0 and 1.
    pub(super) fn throw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn below(&mut self, most: usize) -> usize {
        (self.throw() * most as f64) as usize
    }

    /// Returns the time to the next event for this average interval.
    fn wait(&mut self, average: Duration) -> Duration {
        average.mul_f64(-(1.0 - self.throw()).ln())
    }
}

#[derive(Debug)]
enum Event {
    Ask(Kind, usize),
    Done(Request, usize),
}

/// The waits of one kind, with the times at which the requests were served, in order.
#[derive(Debug, Default)]
struct Waits {
    crowd: Vec<Duration>,
    flood: Vec<Duration>,
    steady: Vec<Duration>,
}

fn run(load: &Load, queue: &mut dyn Queue, end: Duration) -> Waits {
    let mut dice = Dice(1);
    let mut events: BTreeMap<(Duration, u64), Event> = BTreeMap::new();
    let mut number = 0;
    let mut waits = Waits::default();
    let (flooding, steady) = (load.crowd.tenants, load.crowd.tenants + 1);
    let mut at = |events: &mut BTreeMap<_, _>, time, event| {
        number += 1;
        events.insert((time, number), event);
    };
    for _ in 0..load.crowd.tasks {
        at(&mut events, MS.mul_f64(dice.throw()), Event::Ask(Kind::Crowd, 0));
    }
    for _ in 0..load.flood {
        at(&mut events, Duration::ZERO, Event::Ask(Kind::Flood, flooding));
    }
    for tenant in 0..load.steady.0 {
        at(&mut events, dice.wait(load.steady.1), Event::Ask(Kind::Steady, steady + tenant));
    }
    while let Some(((now, _), event)) = events.pop_first() {
        if now > end {
            break;
        }
        let served = match event {
            Event::Ask(kind, tenant) => {
                let tenant = match kind {
                    Kind::Crowd => dice.below(load.crowd.tenants),
                    Kind::Flood | Kind::Steady => tenant,
                };
                if kind == Kind::Steady {
                    let next = now + dice.wait(load.steady.1);
                    at(&mut events, next, Event::Ask(kind, tenant));
                }
                let request = Request { tenant, kind, asked: now };
                queue.ask(now, request).map(|conn| (request, conn))
            }
            Event::Done(request, conn) => {
                let waited = now - request.asked;
                match request.kind {
                    Kind::Crowd => waits.crowd.push(waited),
                    Kind::Flood => waits.flood.push(waited),
                    Kind::Steady => waits.steady.push(waited),
                }
                if request.kind != Kind::Steady {
                    let think = MS.mul_f64(0.3 * dice.throw());
                    at(&mut events, now + think, Event::Ask(request.kind, request.tenant));
                }
                queue.release(now, conn)
            }
        };
        if let Some((request, conn)) = served {
            let held = load.hold.mul_f64(0.9 + 0.2 * dice.throw());
            at(&mut events, now + held, Event::Done(request, conn));
        }
    }
    waits
}

fn compare(load: &Load) -> (Waits, Waits) {
    let end = Duration::from_secs(20);
    let tenants = load.crowd.tenants + 1 + load.steady.0;
    let ours = run(load, &mut Ours::new(load, tenants), end);
    let mut fifo = Fifo { free: (0..load.connections).collect(), waiting: VecDeque::new() };
    (ours, run(load, &mut fifo, end))
}

fn quantile(waits: &[Duration], quantile: f64) -> f64 {
    let mut sorted = waits.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() as f64 * quantile) as usize].as_secs_f64() * 1e3
}

#[test]
fn a_crowd_does_not_starve_steady_tenants() {
    let crowd = Crowd { tasks: 32, tenants: 200 };
    let load =
        Load { connections: 8, cap: 6, hold: MS * 5, crowd, flood: 0, steady: (20, MS * 50) };
    let (ours, fifo) = compare(&load);
    let [ours, fifo] = [&ours.steady, &fifo.steady].map(|waits| quantile(waits, 0.99));
    assert!(ours <= fifo * 1.5, "p99 {ours:.1} ms, first come first served {fifo:.1} ms");
}

#[test]
fn equal_tenants_are_served_in_the_order_of_arrival() {
    let crowd = Crowd { tasks: 32, tenants: 200 };
    let load = Load { connections: 10, cap: 7, hold: MS * 2, crowd, flood: 0, steady: (0, MS) };
    let (ours, fifo) = compare(&load);
    for (of, most) in [(0.5, 1.1), (0.99, 1.3)] {
        let [ours, fifo] = [&ours.crowd, &fifo.crowd].map(|waits| quantile(waits, of));
        assert!(ours <= fifo * most, "p{of} {ours:.1} ms, first come first served {fifo:.1} ms");
    }
}

#[test]
fn a_flood_keeps_quiet_tenants_waiting_for_one_statement() {
    // Without a cap, which sometimes leaves places empty.
    let load = Load {
        connections: 8,
        cap: 8,
        hold: MS * 5,
        crowd: NOBODY,
        flood: 400,
        steady: (20, MS * 50),
    };
    let (ours, fifo) = compare(&load);
    let all = [&ours, &fifo].map(|waits| (waits.flood.len() + waits.steady.len()) as f64);
    assert!(all[0] >= all[1] * 0.99, "{all:?}");
    let [ours, fifo] = [&ours.steady, &fifo.steady].map(|waits| quantile(waits, 0.99));
    assert!(ours <= fifo / 25.0, "p99 {ours:.1} ms, first come first served {fifo:.1} ms");
}

#[test]
fn a_flood_beside_a_crowd_is_behind_both() {
    let crowd = Crowd { tasks: 32, tenants: 200 };
    let load =
        Load { connections: 8, cap: 6, hold: MS * 5, crowd, flood: 400, steady: (20, MS * 50) };
    let alone = Load { flood: 0, ..load.clone() };
    let [(ours, _), (alone, _)] = [&load, &alone].map(compare);
    for (kind, with, without) in
        [("crowd", &ours.crowd, &alone.crowd), ("steady", &ours.steady, &alone.steady)]
    {
        let [with, without] = [with, without].map(|waits| quantile(waits, 0.99));
        assert!(with <= without * 1.5, "{kind}: p99 {with:.1} ms, {without:.1} ms without it");
    }
    // It is not starved either: it has the share of one of some thirty tenants.
    assert!(
        ours.flood.len() * 60 > ours.crowd.len(),
        "{} of {}",
        ours.flood.len(),
        ours.crowd.len()
    );
}

#[test]
fn a_tenant_that_has_flooded_for_long_is_not_shut_out_by_one_that_begins() {
    let mut scheduler = Scheduler::new(Limits { reserve: 0, ..tests::limits(2) });
    let [first, second] = [(); 2].map(|()| scheduler.add_tenant(Time::ZERO, Class::Pooled));
    let conns = [(); 2].map(|()| {
        let conn = scheduler.open_probe(Time::ZERO).expect("there is a place");
        scheduler.opened(Time::ZERO, conn, Time::MAX);
        conn
    });
    while scheduler.next_action().is_some() {}
    let mut now = Time::ZERO;
    let mut served = [0_u32; 2];
    for _ in 0..4 {
        scheduler.acquire(now, first, || 0);
    }
    for turn in 0..20_000_usize {
        if turn == 10_000 {
            served = [0; 2];
            for _ in 0..4 {
                scheduler.acquire(now, second, || 1);
            }
        }
        now += MS * 5;
        scheduler.release(now, conns[turn % 2], Released::Usable);
        let Some(Action::Grant { waiter, .. }) = scheduler.next_action() else { panic!("idle") };
        served[waiter] += 1;
        let key = [first, second][waiter];
        scheduler.acquire(now, key, || waiter);
        if turn == 10_200 {
            assert!(served[0] > 20, "shut out by a newcomer: {served:?}");
        }
    }
    assert!(served[0] * 10 > served[1] * 9, "{served:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]

    /// A tenant that asks for half of its fair share never waits for more than a few rounds, in
    /// each of which every task of every tenant is served once.
    #[test]
    fn whoever_asks_for_less_than_its_share_waits_a_few_rounds(
        connections in 1..12_usize,
        tasks in 4..80_usize,
        tenants in 1..300_usize,
        hold in 1..20_u32,
        flood in prop_oneof![Just(0_usize), 10..300_usize],
        steady in 1..30_usize,
    ) {
        const ROUNDS: u32 = 4;
        let crowd = Crowd { tasks, tenants };
        let hold = MS * hold;
        // Each tenant that can wait or be served has a share.
        let sharing = tasks.min(tenants) + usize::from(flood > 0) + steady;
        let share = hold * u32::try_from(sharing).unwrap() / u32::try_from(connections).unwrap();
        let cap = (connections * 3 / 4).max(1);
        let load = Load { connections, cap, hold, crowd, flood, steady: (steady, share * 2) };
        let (ours, _) = compare(&load);
        let tasks = u32::try_from(tasks + steady + 1).unwrap();
        let round = hold * tasks.div_ceil(u32::try_from(connections).unwrap());
        let longest = ours.steady.iter().max().copied().unwrap_or_default();
        prop_assert!(longest <= (round + hold) * ROUNDS, "{longest:?}, a round is {round:?}");
    }
}
