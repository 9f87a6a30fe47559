//! The worker: finds tenants with jobs, and runs them.

use std::{fmt, time::Duration};

use example_support::say;
use tenantry::{
    Error, TenantDb, TenantManager,
    each::{EachOptions, EachReport},
};

use crate::jobs::{IS_ANY_DUE, Ran, run_next};

/// How long the worker rests when there is nothing to do.
const PAUSE: Duration = Duration::from_secs(1);

/// The number of jobs per tenant and round, so that a tenant with thousands of jobs does not delay
/// the others.
const TURN: usize = 10;

/// The work done for a tenant in a round.
#[derive(Debug, Default)]
struct Turn {
    done: usize,
    failed: usize,
}

/// Works until the manager begins to close. A temporary outage of the database does not end it.
pub(crate) async fn work(manager: &TenantManager) -> Result<(), Error> {
    while !manager.is_closing() {
        match round(manager).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "retrying in the next round")
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = manager.closing() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    Ok(())
}

/// Gives each tenant with due jobs a turn. Returns `true` if a job ran.
pub(crate) async fn round(manager: &TenantManager) -> Result<bool, Error> {
    let due = manager.survey::<bool>(IS_ANY_DUE).await?;
    log_failures(&due);
    let busy: Vec<_> = due.values().filter(|(_, due)| **due).map(|(tenant, _)| tenant).collect();
    if busy.is_empty() {
        return Ok(false);
    }
    let options = EachOptions::default().only(busy);
    let turns = manager.for_each_tenant(options, async |db| turn(manager, &db).await).await?;
    log_failures(&turns);
    let mut has_worked = false;
    // Another worker may have been faster.
    for (tenant, turn) in turns.values().filter(|(_, turn)| turn.done + turn.failed > 0) {
        say(format!("{tenant}: {turn}"));
        has_worked = true;
    }
    Ok(has_worked)
}

/// A panic or an error affects only its tenant.
async fn turn(manager: &TenantManager, db: &TenantDb) -> Result<Turn, sqlx::Error> {
    let mut turn = Turn::default();
    while turn.done + turn.failed < TURN && !manager.is_closing() {
        match run_next(db).await? {
            Ran::Done => turn.done += 1,
            Ran::Failed => turn.failed += 1,
            Ran::Nothing => break,
        }
    }
    Ok(turn)
}

fn log_failures<T>(report: &EachReport<T>) {
    for (tenant, error) in report.failures() {
        tracing::error!(tenant, %error, "its jobs are postponed to the next round");
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} done, {} failed", self.done, self.failed)
    }
}
