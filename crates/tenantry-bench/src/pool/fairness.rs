//! Quiet tenants next to one that floods the pool, and steady tenants next to a crowd of others.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tenantry::{PoolOptions, TenantManager};
use tokio::{
    task::JoinSet,
    time::{self, sleep_until},
};

use crate::{
    failure::Failure,
    load::Tally,
    race::Course,
    rounds::interleave,
    sessions::SessionSampler,
    stats::{median, ratio},
    world::{Tenant, World},
};

/// Tenants that send few requests.
const QUIET: usize = 20;

/// All tenants: the quiet ones, and the one that floods.
pub(crate) const TENANTS: usize = QUIET + 1;

/// All tenants of the other scenario: the steady ones, and those of the crowd.
pub(crate) const TENANTS_WITH_A_CROWD: usize = QUIET + 200;

/// Tasks of the crowd; each requests one of its tenants at random after each response.
const CROWD: usize = 32;

/// Tasks of the flooding tenant; each sends its next request after a response.
const FLOOD: usize = 400;

/// Connections of each contender.
pub(crate) const CONNECTIONS: u32 = 8;

/// The interval between requests of each quiet tenant: 20 per second.
const PERIOD: Duration = Duration::from_millis(50);

/// Long enough that nothing fails: the wait itself is measured.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(60);

/// Takes the server 5 ms, nearly without using the processor.
const STATEMENT: &str = "select pg_sleep(0.005)";

/// How long quiet tenants wait, and the total throughput.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Fairness {
    pub(crate) quiet_p50_ms: f64,
    pub(crate) quiet_p99_ms: f64,
    pub(crate) pgpool_quiet_p50_ms: f64,
    pub(crate) pgpool_quiet_p99_ms: f64,
    /// How many times shorter the wait is than with sqlx's pool, at the 99th percentile.
    pub(crate) quiet_p99_ratio: f64,
    /// Total throughput, relative to sqlx's pool.
    pub(crate) total_ratio: f64,
    /// The same if the flooding tenant can use every connection.
    pub(crate) quiet_p99_ratio_without_cap: f64,
    pub(crate) total_ratio_without_cap: f64,
}

/// One contender, one round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FairnessRun {
    pub(crate) quiet_p50_ms: f64,
    pub(crate) quiet_p99_ms: f64,
    pub(crate) quiet_answered: u64,
    /// Total throughput.
    pub(crate) total_per_second: f64,
    pub(crate) errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_error: Option<String>,
    pub(crate) max_sessions: i64,
}

/// All runs of one contender.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FairnessSeries {
    pub(crate) contender: &'static str,
    pub(crate) rounds: Vec<FairnessRun>,
}

impl FairnessSeries {
    pub(crate) fn median_of(&self, figure: impl Fn(&FairnessRun) -> f64) -> f64 {
        median(self.rounds.iter().map(figure))
    }

    pub(crate) fn errors(&self) -> u64 {
        self.rounds.iter().map(|run| run.errors).sum()
    }

    pub(crate) fn max_sessions(&self) -> i64 {
        let sessions = self.rounds.iter().map(|run| run.max_sessions);
        sessions.max().unwrap_or_default()
    }

    fn times(&self, other: &Self, figure: impl Fn(&FairnessRun) -> f64) -> f64 {
        ratio(self.rounds.iter().map(&figure), other.rounds.iter().map(&figure))
    }
}

/// Runs the statement for a tenant.
#[derive(Debug, Clone)]
enum Sleeper {
    Tenantry(TenantManager),
    /// One pool for all tenants, which does not know them.
    Pool(PgPool),
}

impl Sleeper {
    fn tenantry(
        options: PgConnectOptions,
        configure: impl FnOnce(&mut PoolOptions),
    ) -> Result<Self, Failure> {
        let mut pool = PoolOptions::default();
        pool.max_connections = usize::try_from(CONNECTIONS)?;
        pool.acquire_timeout = ACQUIRE_TIMEOUT;
        configure(&mut pool);
        let manager = TenantManager::builder_with(options).pool_options(pool).build()?;
        Ok(Self::Tenantry(manager))
    }

    fn pool(options: PgConnectOptions) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Self::Pool(pool)
    }

    async fn sleep(&self, tenant: &Tenant) -> sqlx::Result<()> {
        let statement = sqlx::query(STATEMENT);
        let done = match self {
            Self::Tenantry(manager) => {
                let db = manager.tenant(tenant.id()).await?;
                statement.execute(&db).await
            }
            Self::Pool(pool) => statement.execute(pool).await,
        };
        done.map(drop)
    }

    async fn close(&self) {
        match self {
            Self::Tenantry(manager) => manager.close().await,
            Self::Pool(pool) => pool.close().await,
        }
    }
}

/// How long steady tenants wait next to a crowd, relative to a pool that serves in the order of arrival.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Steady {
    pub(crate) steady_p99_ms: f64,
    pub(crate) pgpool_steady_p99_ms: f64,
    pub(crate) steady_p99_vs_fifo: f64,
    /// Total throughput, relative to sqlx's pool.
    #[serde(rename = "steady_total_ratio")]
    pub(crate) total_ratio: f64,
}

/// Quiet tenants next to one that floods.
pub(crate) async fn run(
    course: &Course,
    world: &World,
    tenants: Arc<[Tenant]>,
) -> Result<(Fairness, Vec<FairnessSeries>), Failure> {
    let sleepers = [
        ("tenantry", Sleeper::tenantry(world.options("tenantry"), |_| {})?),
        ("pgpool", Sleeper::pool(world.options("pgpool"))),
        (
            "tenantry_with_reserve",
            Sleeper::tenantry(world.options("tenantry_with_reserve"), |pool| {
                pool.reserved_connections = Some(1);
            })?,
        ),
        (
            "tenantry_without_cap",
            Sleeper::tenantry(world.options("tenantry_without_cap"), |pool| {
                pool.max_connections_per_tenant = Some(pool.max_connections);
            })?,
        ),
    ];
    let (busy, quiet) = tenants.split_at(1);
    let load = Load { busy: busy.into(), tasks: FLOOD, quiet: quiet.into() };
    let series = compare(course, sleepers, &load).await?;
    Ok((figures(&series), series))
}

fn figures(series: &[FairnessSeries]) -> Fairness {
    let (ours, theirs, uncapped) = (&series[0], &series[1], &series[3]);
    Fairness {
        quiet_p50_ms: ours.median_of(|run| run.quiet_p50_ms),
        quiet_p99_ms: ours.median_of(|run| run.quiet_p99_ms),
        pgpool_quiet_p50_ms: theirs.median_of(|run| run.quiet_p50_ms),
        pgpool_quiet_p99_ms: theirs.median_of(|run| run.quiet_p99_ms),
        quiet_p99_ratio: theirs.times(ours, |run| run.quiet_p99_ms),
        total_ratio: ours.times(theirs, |run| run.total_per_second),
        quiet_p99_ratio_without_cap: theirs.times(uncapped, |run| run.quiet_p99_ms),
        total_ratio_without_cap: uncapped.times(theirs, |run| run.total_per_second),
    }
}

/// How managers of other kinds of isolation share among their tenants, relative to sqlx's pool.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct FairnessOfKind {
    pub(crate) quiet_p99_ms: f64,
    /// How many times shorter the wait is than with sqlx's pool, at the 99th percentile.
    pub(crate) quiet_p99_ratio: f64,
    /// Total throughput, relative to sqlx's pool.
    pub(crate) total_ratio: f64,
}

/// Quiet tenants next to one that floods, with managers of two kinds of isolation.
pub(crate) async fn run_of_kinds(
    course: &Course,
    world: &World,
    tenants: Arc<[Tenant]>,
    managers: [(&'static str, TenantManager); 2],
) -> Result<([FairnessOfKind; 2], Vec<FairnessSeries>), Failure> {
    let [one, other] = managers.map(|(name, manager)| (name, Sleeper::Tenantry(manager)));
    let sleepers = [one, other, ("pgpool", Sleeper::pool(world.options("pgpool")))];
    let (busy, quiet) = tenants.split_at(1);
    let load = Load { busy: busy.into(), tasks: FLOOD, quiet: quiet.into() };
    let series = compare(course, sleepers, &load).await?;
    let figures = [0, 1].map(|kind| FairnessOfKind {
        quiet_p99_ms: series[kind].median_of(|run| run.quiet_p99_ms),
        quiet_p99_ratio: series[2].times(&series[kind], |run| run.quiet_p99_ms),
        total_ratio: series[kind].times(&series[2], |run| run.total_per_second),
    });
    Ok((figures, series))
}

/// Tenants that request less than their share, next to a crowd of others.
pub(crate) async fn run_with_a_crowd(
    course: &Course,
    world: &World,
    tenants: Arc<[Tenant]>,
) -> Result<(Steady, Vec<FairnessSeries>), Failure> {
    let sleepers = [
        ("tenantry", Sleeper::tenantry(world.options("tenantry"), |_| {})?),
        ("pgpool", Sleeper::pool(world.options("pgpool"))),
    ];
    let (quiet, busy) = tenants.split_at(QUIET);
    let load = Load { busy: busy.into(), tasks: CROWD, quiet: quiet.into() };
    let series = compare(course, sleepers, &load).await?;
    let (ours, theirs) = (&series[0], &series[1]);
    let figures = Steady {
        steady_p99_ms: ours.median_of(|run| run.quiet_p99_ms),
        pgpool_steady_p99_ms: theirs.median_of(|run| run.quiet_p99_ms),
        steady_p99_vs_fifo: ours.times(theirs, |run| run.quiet_p99_ms),
        total_ratio: ours.times(theirs, |run| run.total_per_second),
    };
    Ok((figures, series))
}

/// The sources of the requests.
#[derive(Debug)]
struct Load {
    /// Tasks that request one of these at random after each response.
    busy: Arc<[Tenant]>,
    tasks: usize,
    /// Each sends requests at fixed times.
    quiet: Arc<[Tenant]>,
}

/// Tasks that send requests.
type Clients = JoinSet<Result<Tally, Failure>>;

impl Load {
    fn flood(&self, sleeper: &Sleeper, until: Instant) -> Result<Clients, Failure> {
        let mut clients = Clients::new();
        for task in 0..self.tasks {
            let random = fastrand::Rng::with_seed(u64::try_from(task)?);
            clients.spawn(closed_loop(sleeper.clone(), Arc::clone(&self.busy), random, until));
        }
        Ok(clients)
    }

    fn be_quiet(
        &self,
        sleeper: &Sleeper,
        began: Instant,
        until: Instant,
    ) -> Result<Clients, Failure> {
        let mut clients = Clients::new();
        for (index, tenant) in self.quiet.iter().enumerate() {
            // Not all at the same time.
            let offset = PERIOD * u32::try_from(index)? / u32::try_from(QUIET)?;
            clients.spawn(open_loop(sleeper.clone(), tenant.clone(), began + offset, until));
        }
        Ok(clients)
    }
}

async fn compare<const N: usize>(
    course: &Course,
    sleepers: [(&'static str, Sleeper); N],
    load: &Load,
) -> Result<Vec<FairnessSeries>, Failure> {
    let names = sleepers.each_ref().map(|(name, _)| *name);
    let runs = interleave(course.scenario, &names, course.rounds, async |index, _| {
        let (name, sleeper) = &sleepers[index];
        one_run(course, name, sleeper, load).await
    })
    .await;
    for (_, sleeper) in &sleepers {
        sleeper.close().await;
    }
    let series = names.into_iter().zip(runs?);
    Ok(series.map(|(contender, rounds)| FairnessSeries { contender, rounds }).collect())
}

async fn one_run(
    course: &Course,
    name: &'static str,
    sleeper: &Sleeper,
    load: &Load,
) -> Result<FairnessRun, Failure> {
    let sessions = SessionSampler::start(&course.server, name).await?;
    let (began, until) = (Instant::now(), Instant::now() + course.duration);
    let flood = load.flood(sleeper, until)?;
    let quiet = load.be_quiet(sleeper, began, until)?;
    let quiet = sum(quiet).await?;
    let flood = sum(flood).await?;
    let elapsed = began.elapsed().as_secs_f64();
    let max_sessions = sessions.stop().await?;
    Ok(FairnessRun {
        quiet_p50_ms: quiet.quantile_ms(0.5),
        quiet_p99_ms: quiet.quantile_ms(0.99),
        quiet_answered: quiet.answered,
        total_per_second: (quiet.answered + flood.answered) as f64 / elapsed,
        errors: quiet.errors + flood.errors,
        first_error: quiet.first_error.or(flood.first_error),
        max_sessions,
    })
}

async fn sum(mut tasks: Clients) -> Result<Tally, Failure> {
    let mut total = Tally::new();
    while let Some(tally) = tasks.join_next().await {
        total.add(tally??);
    }
    Ok(total)
}

/// Sends the next request after each response.
async fn closed_loop(
    sleeper: Sleeper,
    tenants: Arc<[Tenant]>,
    mut random: fastrand::Rng,
    until: Instant,
) -> Result<Tally, Failure> {
    let mut tally = Tally::new();
    while Instant::now() < until {
        let asked = Instant::now();
        let outcome = sleeper.sleep(&tenants[random.usize(..tenants.len())]).await;
        tally.note(outcome.map_err(|error| error.to_string()), asked.elapsed());
    }
    Ok(tally)
}

/// Sends requests at fixed times, regardless of responses, and measures the wait from the intended start.
async fn open_loop(
    sleeper: Sleeper,
    tenant: Tenant,
    mut next: Instant,
    until: Instant,
) -> Result<Tally, Failure> {
    let mut requests = JoinSet::new();
    while next < until {
        sleep_until(time::Instant::from_std(next)).await;
        let (sleeper, tenant, asked) = (sleeper.clone(), tenant.clone(), next);
        requests.spawn(async move {
            let outcome = sleeper.sleep(&tenant).await;
            (outcome, asked.elapsed())
        });
        next += PERIOD;
    }
    let mut tally = Tally::new();
    while let Some(request) = requests.join_next().await {
        let (outcome, took) = request?;
        tally.note(outcome.map_err(|error| error.to_string()), took);
    }
    Ok(tally)
}
