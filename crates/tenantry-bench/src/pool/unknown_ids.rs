//! Known tenants next to clients that guess ids.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tenantry::TenantManager;
use tokio::task::{JoinSet, yield_now};

use super::{CONNECTIONS, TASKS};
use crate::{
    contender::{Contender, Tenantry},
    failure::Failure,
    load::{self, Tally, Work},
    popularity::Popularity,
    race::{Course, Run, Series},
    rounds::{Round, interleave},
    stats::median,
    world::{Tenant, World},
};

/// Known tenants.
pub(crate) const TENANTS: usize = 20;

/// Clients that guess; each tries again after a refusal.
const GUESSING: usize = 32;

/// The requests of the clients.
#[derive(Debug, Clone, Copy)]
enum Guess {
    /// Another id each time.
    New,
    /// The same id every time, which is cached as unknown.
    Same,
}

/// Returns the throughput of known tenants next to clients that request new ids every time, relative to the
/// throughput next to clients that all request the same id.
pub(crate) async fn run(
    course: &Course,
    world: &World,
    tenants: Arc<[Tenant]>,
) -> Result<(f64, Vec<Series>), Failure> {
    let popularity = Arc::new(Popularity::Uniform(tenants.len()));
    let work = Work { tasks: TASKS, tenants, popularity };
    let names = ["new_ids", "one_id"];
    let managers = [manager(world, names[0])?, manager(world, names[1])?];
    let guesses = [Guess::New, Guess::Same];
    let runs = interleave(course.scenario, &names, course.rounds, async |index, round| {
        let contender = Arc::new(Contender::Tenantry(Tenantry::of(managers[index].clone())));
        let seed = match round {
            Round::WarmUp => 0,
            Round::Measured(round) => u64::from(round) + 1,
        };
        let guessing = Guessing::start(&managers[index], guesses[index], seed);
        let tally = load::closed_loop(&contender, &work, course.duration, seed).await?;
        guessing.stop().await;
        Ok(run_of(&tally))
    })
    .await;
    for manager in managers {
        manager.close().await;
    }
    let series: Vec<_> =
        names.into_iter().zip(runs?).map(|(name, runs)| series(name, runs)).collect();
    Ok((series[0].times(&series[1]), series))
}

pub(super) fn series(contender: &'static str, rounds: Vec<Run>) -> Series {
    let per_second = median(rounds.iter().map(|run| run.per_second));
    Series { contender, per_second, rounds }
}

pub(super) fn run_of(tally: &Tally) -> Run {
    Run {
        per_second: tally.per_second(),
        p50_ms: tally.quantile_ms(0.5),
        p99_ms: tally.quantile_ms(0.99),
        errors: tally.errors,
        first_error: tally.first_error.clone(),
        max_sessions: 0,
        requests_per_session: None,
        hit_ratio: None,
    }
}

fn manager(world: &World, name: &str) -> Result<TenantManager, Failure> {
    Ok(Tenantry::builder(world.options(name), CONNECTIONS)?
        .acquire_timeout(Duration::from_secs(5))
        .build()?)
}

/// Clients that request tenants that do not exist.
struct Guessing {
    stop: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Guessing {
    fn start(manager: &TenantManager, guess: Guess, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for client in 0..GUESSING {
            let (manager, stop) = (manager.clone(), Arc::clone(&stop));
            clients.spawn(async move {
                let mut asked = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    asked += 1;
                    let id = match guess {
                        Guess::New => format!("guess-{seed}-{client}-{asked}"),
                        Guess::Same => "guess".to_owned(),
                    };
                    drop(manager.tenant(id.as_str()).await);
                    // A client waits for its network, and an answer from memory waits for nothing.
                    yield_now().await;
                }
            });
        }
        Self { stop, clients }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
    }
}
