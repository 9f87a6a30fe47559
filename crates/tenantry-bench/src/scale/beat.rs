//! Many processes that share a budget.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tenantry::{SharedBudget, TenantManager};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{args::ScaleArgs, failure::Failure, world::World};

/// What was seen of the processes.
pub(super) struct Seen {
    /// Version of the server.
    pub(super) server: String,
    /// The maximum number of sessions of all processes together.
    pub(super) max_sessions: i64,
    /// The budget that they share.
    pub(super) budget: i64,
    /// Time of each beat, in microseconds.
    pub(super) beats_us: Vec<f64>,
}

/// Connections that each process has at least, so that it has more than its floor and beats every second.
const USED: usize = 3;

/// Tasks of each process that want a connection all the time. Together they want more than twice the budget, which
/// only the grants keep them from having.
const WANTED: usize = 12;

/// How long a task keeps a connection at first, so that the processes can give each other their parts.
const KEPT: Duration = Duration::from_millis(200);

/// Longer than any run: most tasks wait until its end.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// How often the processes are looked at: more often than they beat.
const LOOK: Duration = Duration::from_millis(250);

/// Watches the processes for some time.
pub(super) async fn run(args: &ScaleArgs) -> Result<Seen, Failure> {
    let world = World::start().await?;
    let seen = measure(args, &world).await;
    world.stop().await;
    seen
}

async fn measure(args: &ScaleArgs, world: &World) -> Result<Seen, Failure> {
    let budget = args.members * (USED + 2) + 10;
    // All start at once, so there must be a floor for each.
    let shared = SharedBudget::new("bench").processes(args.members);
    let managers = (0..args.members).map(|_| {
        let builder = TenantManager::builder_with(world.options("scale")).max_connections(budget);
        builder.acquire_timeout(PATIENCE).budget_shared_by(shared.clone()).build()
    });
    let managers = managers.collect::<Result<Vec<_>, _>>()?;
    let (mut load, steady) = (JoinSet::new(), Instant::now() + args.settle / 2);
    for manager in &managers {
        for _ in 0..WANTED {
            load.spawn(want(manager.clone(), steady));
        }
    }
    let (server, budget) = (world.version(), i64::try_from(budget)?);
    let mut seen = Seen { server, max_sessions: 0, budget, beats_us: Vec::new() };
    let mut witness = PgConnection::connect_with(&world.options("witness")).await?;
    let (mut last, began) = (vec![None; managers.len()], Instant::now());
    while began.elapsed() < args.settle + args.seconds {
        sleep(LOOK).await;
        let sessions: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where application_name like 'tenantry/scale%'",
        )
        .fetch_one(&mut witness)
        .await?;
        seen.max_sessions = seen.max_sessions.max(sessions);
        for (manager, last) in managers.iter().zip(&mut last) {
            let beat = manager.snapshot().budget.and_then(|budget| budget.beat);
            if beat != *last {
                *last = beat;
                let is_settled = began.elapsed() > args.settle;
                let beat = beat.filter(|_| is_settled);
                seen.beats_us.extend(beat.map(|beat| beat.as_secs_f64() * 1e6));
            }
        }
    }
    // It ends only when it fails.
    if let Some(failed) = load.try_join_next() {
        return Err(failed?.into());
    }
    load.shutdown().await;
    for manager in managers {
        manager.close().await;
    }
    witness.close().await?;
    Ok(seen)
}

/// Uses a connection again and again, and keeps it from a time on. Then the load is steady: nothing happens at the
/// server but beats. Returns why it got none.
async fn want(manager: TenantManager, steady: Instant) -> tenantry::Error {
    loop {
        match manager.shared().acquire().await {
            Ok(_held) if Instant::now() >= steady => std::future::pending().await,
            Ok(_held) => sleep(KEPT).await,
            Err(error) => return error.into(),
        }
    }
}
