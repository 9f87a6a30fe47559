//! Many processes that share a budget.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tenantry::TenantManager;
use tokio::time::{Instant, sleep};

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

/// Connections that each process uses all the time, so that it has more than its floor and beats
/// every second.
const USED: usize = 3;

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
    let managers = (0..args.members).map(|_| {
        let builder = TenantManager::builder_with(world.options("scale")).max_connections(budget);
        builder.acquire_timeout(Duration::from_secs(30)).budget_shared_by("bench").build()
    });
    let managers = managers.collect::<Result<Vec<_>, _>>()?;
    let mut held = Vec::new();
    for manager in &managers {
        for _ in 0..USED {
            held.push(manager.shared().acquire().await?);
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
    drop(held);
    for manager in managers {
        manager.close().await;
    }
    witness.close().await?;
    Ok(seen)
}
