//! Tenants in databases in simulated time: how many requests share a connect, and how long they wait.

use std::{collections::BTreeMap, time::Duration};

use super::{simulation::Dice, *};

const MS: Duration = Duration::from_millis(1);

/// Hold time of a statement.
const HOLD: Duration = Duration::from_micros(100);

/// Tasks that each request a tenant as soon as they are answered.
#[derive(Debug, Clone)]
struct Load {
    places: usize,
    class: Class,
    /// The share of each tenant in the requests of the crowd.
    shares: Vec<f64>,
    crowd: usize,
    /// Tasks for each of these tenants alone.
    loyal: Vec<usize>,
}

impl Load {
    fn crowd(places: usize, shares: Vec<f64>) -> Self {
        Self { places, class: Class::Dedicated, shares, crowd: 32, loyal: Vec::new() }
    }
}

fn uniform(tenants: usize) -> Vec<f64> {
    vec![1.0; tenants]
}

fn zipf(tenants: u32) -> Vec<f64> {
    (1..=tenants).map(|rank| f64::from(rank).powf(-1.1)).collect()
}

#[derive(Debug)]
enum Event {
    Ask(usize),
    Done(usize, ConnId),
    Opened(ConnId),
    Closed(ConnId),
    Review,
}

#[derive(Debug, Default)]
struct Outcome {
    connects: usize,
    /// Waits of each tenant.
    waits: BTreeMap<usize, Vec<Duration>>,
}

impl Outcome {
    fn answered(&self) -> usize {
        self.waits.values().map(Vec::len).sum()
    }

    fn requests_per_connect(&self) -> f64 {
        self.answered() as f64 / self.connects as f64
    }

    fn longest(&self) -> Duration {
        self.waits.values().flatten().max().copied().unwrap_or_default()
    }
}

struct Run<'a> {
    load: &'a Load,
    scheduler: Scheduler<usize>,
    keys: Vec<TenantKey>,
    dice: Dice,
    events: BTreeMap<(Duration, u64), Event>,
    number: u64,
    /// The tenant and the start of each task's request.
    asked: Vec<(usize, Duration)>,
    opening: u32,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    fn new(load: &'a Load) -> Self {
        let limits = Limits { max_tenant_pools: 10_000, ..tests::limits(load.places + 1) };
        let mut scheduler = Scheduler::new(limits);
        let keys =
            load.shares.iter().map(|_| scheduler.add_tenant(Time::ZERO, load.class)).collect();
        let tasks = load.crowd + load.loyal.len();
        let mut run = Self {
            load,
            scheduler,
            keys,
            dice: Dice(1),
            events: BTreeMap::new(),
            number: 0,
            asked: vec![(0, Time::ZERO); tasks],
            opening: 0,
            outcome: Outcome::default(),
        };
        (0..tasks).for_each(|task| run.at(Time::ZERO, Event::Ask(task)));
        run
    }

    fn until(mut self, end: Duration) -> Outcome {
        while let Some(((now, _), event)) = self.events.pop_first()
            && now < end
        {
            self.happens(now, event);
            while let Some(action) = self.scheduler.next_action() {
                self.carry_out(now, action);
            }
            let counts = self.scheduler.counts();
            let sessions = counts.idle + counts.leased + counts.opening + counts.closing;
            assert!(sessions <= self.load.places + 1, "the budget is exceeded");
        }
        self.outcome
    }

    fn happens(&mut self, now: Duration, event: Event) {
        match event {
            Event::Ask(task) => {
                let tenant = self.choose(task);
                self.asked[task] = (tenant, now);
                if let Acquire::Granted(conn, _) =
                    self.scheduler.acquire(now, self.keys[tenant], || task)
                {
                    self.at(now + HOLD, Event::Done(task, conn));
                }
            }
            Event::Done(task, conn) => {
                let (tenant, asked) = self.asked[task];
                self.outcome.waits.entry(tenant).or_default().push(now - asked);
                self.scheduler.release(now, conn, Released::Usable);
                self.at(now + HOLD, Event::Ask(task));
            }
            Event::Opened(conn) => {
                self.opening -= 1;
                self.scheduler.opened(now, conn, Time::MAX);
            }
            Event::Closed(conn) => self.scheduler.closed(now, conn),
            Event::Review => self.scheduler.review(now),
        }
    }

    fn carry_out(&mut self, now: Duration, action: Action<usize>) {
        match action {
            Action::Grant { waiter, conn, .. } => self.at(now + HOLD, Event::Done(waiter, conn)),
            Action::Open(conn) => {
                self.outcome.connects += 1;
                self.opening += 1;
                // Two processors share the work.
                self.at(now + MS * 3 * self.opening.max(2), Event::Opened(conn));
            }
            Action::Close(conn) => self.at(now + MS * 10, Event::Closed(conn)),
            Action::Review(after) => self.at(now + after, Event::Review),
            other => panic!("unexpected {other:?}"),
        }
    }

    fn at(&mut self, time: Duration, event: Event) {
        self.number += 1;
        self.events.insert((time, self.number), event);
    }

    fn choose(&mut self, task: usize) -> usize {
        if let Some(tenant) = task.checked_sub(self.load.crowd) {
            return self.load.loyal[tenant];
        }
        let mut rest = self.dice.throw() * self.load.shares.iter().sum::<f64>();
        let chosen = self.load.shares.iter().position(|share| {
            rest -= share;
            rest < 0.0
        });
        chosen.unwrap_or_default()
    }
}

fn run(load: &Load) -> Outcome {
    Run::new(load).until(Duration::from_secs(5))
}

#[test]
fn requests_of_many_databases_share_connects() {
    // If the 20 databases used last kept a connection each, it would be 1.25 and about 2.4.
    for (shares, least) in [(uniform(100), 1.6), (zipf(100), 3.6)] {
        let outcome = run(&Load::crowd(20, shares));
        let per_connect = outcome.requests_per_connect();
        assert!(per_connect >= least, "{per_connect} requests per connect");
        assert!(outcome.longest() < Duration::from_secs(1), "{:?}", outcome.longest());
        assert_eq!(outcome.waits.len(), 100, "every database is served");
    }
}

#[test]
fn hot_databases_do_not_starve_a_cold_one() {
    // More hot ones than places, several tasks each, that never stop; and one cold.
    for places in [1, 2, 8] {
        let hot = (0..places * 2).flat_map(|tenant| [tenant + 1; 4]).collect();
        let loyal = [vec![0], hot].concat();
        let load = Load { crowd: 0, loyal, ..Load::crowd(places, uniform(places * 2 + 1)) };
        let outcome = run(&load);
        assert_eq!(outcome.waits.len(), places * 2 + 1, "{places} places");
        let longest = outcome.longest();
        assert!(longest < Duration::from_secs(2), "{places} places: {longest:?}");
        assert!(outcome.requests_per_connect() > 20.0, "{}", outcome.requests_per_connect());
    }
}

#[test]
fn a_place_that_is_free_is_used_at_once() {
    let load = Load { crowd: 0, loyal: vec![0; 4], ..Load::crowd(20, uniform(1)) };
    let outcome = run(&load);
    assert!((1..=4).contains(&outcome.connects), "{}", outcome.connects);
    assert!(outcome.longest() <= MS * 20, "{:?}", outcome.longest());
}

#[test]
fn one_place_serves_fifty_databases() {
    let outcome = run(&Load { crowd: 50, ..Load::crowd(1, uniform(50)) });
    assert_eq!(outcome.waits.len(), 50);
    assert!(outcome.longest() < Duration::from_secs(4), "{:?}", outcome.longest());
}
