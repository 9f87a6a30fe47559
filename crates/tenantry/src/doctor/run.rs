//! Runs the checks, each with a timeout and independently of the others.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

use super::{
    Check, CheckReport, Doctor, DoctorHealth, DoctorReport, Examined, Subject, error_in_words,
    homes::Sample, on_server::Facts,
};
use crate::{
    error::{Error, ErrorKind},
    health::HealthOptions,
    manager::TenantManager,
};

/// The maximum number of concurrent checks: they share the budget with requests.
const AT_ONCE: usize = 3;

/// The check that says why the database cannot be reached.
pub(super) const DATABASE: &str = "database";

/// The check that reports which servers are away.
pub(super) const DATABASES: &str = "databases";

/// Why a check that needs the database was skipped.
pub(super) const NO_CONNECTION: &str = "no connection to the database";

pub(super) async fn run(doctor: &Doctor) -> DoctorReport {
    let (began, timestamp) = (Instant::now(), SystemTime::now());
    let checks = doctor.checks.iter().filter(|check| doctor.selects(check.name()));
    let checks: Vec<_> = checks.cloned().collect();
    let subject = subject(doctor).await;
    let reports = examine_all(doctor, &checks, &subject).await;
    let health = health(&subject, doctor.check_timeout).await;
    let version = subject.reached.as_ref().ok().map(|version| version.name.clone());
    DoctorReport::new(reports, health, version, timestamp, began.elapsed())
}

/// Runs the checks, and returns their reports in the same order.
async fn examine_all(
    doctor: &Doctor,
    checks: &[Arc<dyn Check>],
    subject: &Subject,
) -> Vec<CheckReport> {
    // Runs alone, so that the latency is not affected by other checks.
    let (first, rest): (Vec<_>, Vec<_>) =
        checks.iter().enumerate().partition(|(_, check)| check.name() == DATABASE);
    let mut reports = Vec::with_capacity(checks.len());
    for (index, check) in first {
        reports.push((index, examine(doctor, check, subject).await));
    }
    let servers = doctor.manager.fleet().servers();
    let budget = servers.all().map(|(_, server)| server.max_connections()).min().unwrap_or(1);
    let at_once = (budget / 3).clamp(1, AT_ONCE);
    let rest = rest
        .into_iter()
        .map(|(index, check)| async move { (index, examine(doctor, check, subject).await) });
    let rest: Vec<_> =
        stream::iter(rest.collect::<Vec<_>>()).buffer_unordered(at_once).collect().await;
    reports.extend(rest);
    reports.sort_unstable_by_key(|(index, _)| *index);
    reports.into_iter().map(|(_, report)| report).collect()
}

/// Determines once what all checks need.
async fn subject(doctor: &Doctor) -> Subject {
    let manager = doctor.manager.clone();
    let late = |attempted| Error::new(ErrorKind::Timeout, attempted);
    let limit = doctor.check_timeout;
    let reached = timeout(limit, Subject::reach(manager.fleet().system())).await;
    let reached = reached.unwrap_or_else(|_| Err(late("asking the server for its version")));
    let tenants = match &reached {
        Ok(_) => {
            let listed = timeout(limit, manager.tenants()).await;
            listed.unwrap_or_else(|_| Err(late("listing the tenants")))
        }
        Err(error) => Err(error.again()),
    };
    let fleet = manager.fleet();
    let servers = fleet.servers().homes().map(|home| Facts::new(fleet, &home)).collect();
    Subject {
        manager,
        migrations: doctor.tenants.clone(),
        shared_migrations: doctor.shared.clone(),
        instances: doctor.instances,
        reached,
        tenants: tenants.map(Arc::from),
        servers,
        check_timeout: limit,
        sample: Sample { most: doctor.databases, start: start_of_sample() },
        homes: OnceCell::new(),
        tells_away: doctor.selects(DATABASES),
    }
}

/// Returns a number that differs between runs.
fn start_of_sample() -> usize {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    usize::try_from(since.as_millis()).unwrap_or_default()
}

/// Runs one check, within its time.
async fn examine(doctor: &Doctor, check: &Arc<dyn Check>, on: &Subject) -> CheckReport {
    let (began, name) = (Instant::now(), check.name());
    let examined = match doctor.given.get(name) {
        Some(given) => given.clone(),
        None if check.needs_database() && name != DATABASE => match &on.reached {
            Ok(_) => bounded(check, on, doctor.check_timeout).await,
            Err(error) => not_reached(error, doctor.selects(DATABASE)),
        },
        None => bounded(check, on, doctor.check_timeout).await,
    };
    let examined = match doctor.severities.get(name) {
        Some(severity) => examined.with_severity(*severity),
        None => examined,
    };
    CheckReport::new(name, check.title(), examined, began.elapsed())
}

/// Reports that a check was not run because there was no connection. If no other check says why, it is an error: a
/// report without one would look like success.
fn not_reached(error: &Error, is_told: bool) -> Examined {
    match (error.kind(), is_told) {
        (_, true) => Examined::skipped(NO_CONNECTION).because(NO_CONNECTION),
        (ErrorKind::Timeout, false) => Examined::unknown("the server did not answer in time"),
        (_, false) => Examined::error(format!("{NO_CONNECTION}: {}", error_in_words(error))),
    }
}

async fn bounded(check: &Arc<dyn Check>, on: &Subject, limit: Duration) -> Examined {
    // The call itself can panic, too, before there is a future.
    let run = AssertUnwindSafe(async { check.run(on).await }).catch_unwind();
    match timeout(limit, run).await {
        Ok(Ok(examined)) => examined,
        Ok(Err(panic)) => Examined::unknown(format!("the check panicked: {}", words_of(&*panic))),
        Err(_) => Examined::unknown(format!("the check did not end within {limit:?}")),
    }
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

/// Summarizes the health of the manager.
async fn health(on: &Subject, limit: Duration) -> DoctorHealth {
    let manager: &TenantManager = &on.manager;
    if on.reached.is_err() {
        return DoctorHealth {
            healthy: false,
            total_pools: manager.snapshot().tenant_pools,
            degraded_pools: 0,
            unhealthy_pools: 0,
            shared_db_latency: None,
        };
    }
    let options = HealthOptions::default();
    let ping_timeout = options.ping_timeout.min(limit);
    let report = manager.health(options.ping_timeout(ping_timeout)).await;
    DoctorHealth {
        healthy: report.healthy,
        total_pools: report.total_pools,
        degraded_pools: report.degraded_pools,
        unhealthy_pools: report.unhealthy_pools,
        shared_db_latency: report.shared_db.and_then(|shared| shared.response_time),
    }
}
