//! The benchmark of scale-out: many processes that share a budget.

use std::time::Duration;

use serde::Serialize;
use sqlx::{Connection, PgConnection};
use tenantry::TenantManager;
use tokio::time::{Instant, sleep};

use crate::{args::ScaleArgs, failure::Failure, stats::median, world::World};

/// All figures, in the shape of the JSON file.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Median time of a beat: the messages with which a process asks for its part of a budget.
    pub(crate) beat_us: f64,
    /// The maximum number of sessions of all processes together.
    pub(crate) max_sessions: i64,
    /// The budget that they share.
    pub(crate) budget: i64,
    pub(crate) raw: Raw,
}

/// The measurements behind the figures.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Raw {
    /// Version of the server.
    pub(crate) server: String,
    /// Number of processes.
    pub(crate) members: usize,
    /// Time of each beat that was seen, in microseconds.
    pub(crate) beats_us: Vec<f64>,
}

/// Connections that each process uses all the time, so that it has more than its floor and beats
/// every second.
const USED: usize = 3;

/// How often the processes are looked at: more often than they beat.
const LOOK: Duration = Duration::from_millis(250);

pub(crate) async fn run(args: &ScaleArgs) -> Result<Report, Failure> {
    let world = World::start().await?;
    let report = measure(args, &world).await;
    let server = world.version();
    world.stop().await;
    let mut report = report?;
    report.raw.server = server;
    Ok(report)
}

async fn measure(args: &ScaleArgs, world: &World) -> Result<Report, Failure> {
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
    let mut report = Report { budget: i64::try_from(budget)?, ..Report::default() };
    report.raw.members = args.members;
    let mut witness = PgConnection::connect_with(&world.options("witness")).await?;
    let (mut last, began) = (vec![None; managers.len()], Instant::now());
    while began.elapsed() < args.seconds {
        sleep(LOOK).await;
        let sessions: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where application_name like 'tenantry/scale%'",
        )
        .fetch_one(&mut witness)
        .await?;
        report.max_sessions = report.max_sessions.max(sessions);
        for (manager, last) in managers.iter().zip(&mut last) {
            let beat = manager.snapshot().budget.and_then(|budget| budget.beat);
            if beat != *last {
                report.raw.beats_us.extend(beat.map(|beat| beat.as_secs_f64() * 1e6));
                *last = beat;
            }
        }
    }
    report.beat_us = median(report.raw.beats_us.iter().copied());
    drop(held);
    for manager in managers {
        manager.close().await;
    }
    witness.close().await?;
    Ok(report)
}
