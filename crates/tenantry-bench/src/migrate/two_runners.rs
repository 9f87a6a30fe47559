//! Two concurrent deploys: whether they share the work, and whether a file is ever run twice.

use std::{env, process::Stdio, time::Instant};

use serde::{Deserialize, Serialize};
use tenantry::TenantManager;
use tokio::process::{Child, Command};

use super::{checked, files::Files, options, schemas::Schemas};
use crate::{
    times::{self, Times},
    {failure::Failure, rounds::Round},
};

/// The results of all rounds.
#[derive(Debug)]
pub(super) struct TwoRunners {
    pub(super) times: Vec<Times>,
    /// Of the two, in each round.
    pub(super) reports: Vec<[Ran; 2]>,
    pub(super) applied_twice: usize,
}

/// The report of one runner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ran {
    /// Tenants that it has migrated.
    migrated: usize,
    /// Tenants without pending files.
    up_to_date: usize,
    ms: f64,
}

/// Has one runner migrate all tenants, and then two concurrently, each in a separate process.
pub(super) async fn run(schemas: &Schemas, rounds: u32) -> Result<TwoRunners, Failure> {
    let (mut reports, mut applied_twice) = (Vec::new(), 0);
    let times = times::run("two_runners", &["one", "two"], rounds, async |contender, round| {
        let runners = contender + 1;
        let began = Instant::now();
        let ran = at_once(&schemas.url(), runners).await?;
        let took = began.elapsed();
        applied_twice += look(schemas, &ran).await?;
        if let (Round::Measured(_), Ok(two)) = (round, <[Ran; 2]>::try_from(ran)) {
            reports.push(two);
        }
        schemas.undo().await?;
        Ok(took)
    });
    let times = times.await?;
    Ok(TwoRunners { times, reports, applied_twice })
}

/// Returns the number of tenants in which the file was run more than once.
async fn look(schemas: &Schemas, ran: &[Ran]) -> Result<usize, Failure> {
    let traces = schemas.traces().await?;
    let missing = traces.iter().filter(|rows| **rows == 0).count();
    let migrated: usize = ran.iter().map(|ran| ran.migrated).sum();
    if missing > 0 || migrated != schemas.tenants().len() {
        return Err(format!("{missing} tenants were left out, and {ran:?} was reported").into());
    }
    Ok(traces.iter().filter(|rows| **rows > 1).count())
}

async fn at_once(url: &str, runners: usize) -> Result<Vec<Ran>, Failure> {
    let start = |_| -> Result<Child, Failure> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["migrate-runner", url]).stdout(Stdio::piped()).kill_on_drop(true);
        Ok(command.spawn()?)
    };
    let started: Vec<_> = (0..runners).map(start).collect::<Result<_, _>>()?;
    let mut ran = Vec::new();
    for runner in started {
        let output = runner.wait_with_output().await?;
        if !output.status.success() {
            return Err("a runner has failed".into());
        }
        ran.push(serde_json::from_slice(&output.stdout)?);
    }
    Ok(ran)
}

/// Migrates all tenants of a database, and returns what this process has done as JSON.
pub(crate) async fn run_one(url: &str) -> Result<String, Failure> {
    let manager = TenantManager::builder(url).build()?;
    let migrator = manager.migrator().tenants(Files::WithTrace.migrations()?);
    let report = checked(migrator.migrate_all(options()).await?)?;
    manager.close().await;
    let ran = Ran {
        migrated: report.migrated,
        up_to_date: report.up_to_date,
        ms: report.duration.as_secs_f64() * 1e3,
    };
    Ok(serde_json::to_string(&ran)?)
}
