//! The benchmark of migrations: the schemas of many tenants, by Tenantry and by sqlx's own `Migrator`.

mod concurrent_index;
mod counter;
mod create;
mod empty;
mod files;
mod long_file;
mod noop;
mod one_file;
mod remembered;
mod schemas;
mod shared_touch;
mod sqlx_loop;
mod two_runners;

use std::time::Duration;

use serde::Serialize;
use tenantry::{
    TenantManager,
    migrate::{MigrateOptions, MigrateReport},
};

pub(crate) use self::two_runners::run_one;
use self::{
    empty::Empty,
    noop::Statements,
    one_file::OneFile,
    schemas::{Durability, Schemas},
    two_runners::Ran,
};
use crate::{
    args::{MigrateArgs, MigrateScenario, MigrateSizes},
    failure::Failure,
    times::{self, Times},
};

/// The number of tenants that Tenantry migrates concurrently.
const CONCURRENCY: usize = 4;

/// All figures, in the shape of the JSON file. A scenario that was not run is omitted.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Milliseconds of a run without pending migrations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) noop_ms: Option<f64>,
    /// Statements that the server executes for it, per thousand tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) noop_statements_per_1000: Option<f64>,
    /// How many times faster one new file is applied to all tenants than with sqlx in a loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) one_file_speedup_vs_sqlx: Option<f64>,
    /// How many times faster a tenant is created than by running all files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) create_speedup_vs_files: Option<f64>,
    /// The same if a spare is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spare_speedup_vs_files: Option<f64>,
    /// The time of two concurrent runners, as a multiple of the time of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) two_runners_ratio: Option<f64>,
    /// Tenants in which a file was run more than once, in all runs of two concurrent runners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) applied_twice: Option<usize>,
    /// Files that tenants could not run because others touched the same object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shared_touch_failures: Option<usize>,
    /// Tenants in which an index was not built concurrently while another session held a snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cic_fleet_dirty: Option<usize>,
    /// Milliseconds of a run without pending migrations over very many tenants that are remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remembered_ms: Option<f64>,
    /// How many times faster it is than a run that looks at all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remembered_speedup_vs_verify: Option<f64>,
    /// Milliseconds for linting 2 MB with 20,000 findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lint_ms: Option<f64>,
    /// The speed-up where every commit waits for the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) one_file_speedup_vs_sqlx_fsync: Option<f64>,
    pub(crate) raw: Raw,
}

/// The raw data of the figures: milliseconds of each run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Raw {
    pub(crate) rounds: u32,
    /// The server's version.
    pub(crate) server: String,
    pub(crate) tenants: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) noop: Vec<Times>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) noop_statements: Vec<Statements>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) one_file: Vec<Times>,
    /// Tenants that were created in each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) create: Vec<Times>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) two_runners: Vec<Times>,
    /// Files that were run, counted per tenant, in all runs that touched a shared object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) touched: Option<usize>,
    /// The number of tenants that were to get an index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) indexed: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remembered_tenants: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) remembered: Vec<Times>,
    /// The reports of the two runners, in each round.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) two_runners_reports: Vec<[Ran; 2]>,
    /// Tenants where every commit waits for the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fsync_tenants: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) one_file_fsync: Vec<Times>,
}

/// Runs the scenarios that were asked for.
pub(crate) async fn run(args: &MigrateArgs) -> Result<Report, Failure> {
    let mut report = Report::default();
    report.raw.rounds = args.rounds;
    report.raw.tenants = args.sizes.tenants;
    let (with_tables, others): (Vec<_>, Vec<_>) =
        args.only.iter().partition(|scenario| scenario.needs_tables());
    if !with_tables.is_empty() {
        let schemas = Schemas::start(args.sizes.tenants, Durability::Nothing).await?;
        report.raw.server = schemas.version();
        let done = run_all(args, &schemas, &with_tables, &mut report).await;
        schemas.stop().await;
        done?;
    }
    for scenario in others {
        run_alone(args, *scenario, &mut report).await?;
    }
    Ok(report)
}

async fn run_all(
    args: &MigrateArgs,
    schemas: &Schemas,
    only: &[&MigrateScenario],
    report: &mut Report,
) -> Result<(), Failure> {
    let rounds = args.rounds;
    if only.contains(&&MigrateScenario::Noop) {
        noop(schemas, rounds, report).await?;
    }
    if only.contains(&&MigrateScenario::OneFile) {
        let OneFile { times, speedup } = one_file::run("one_file", schemas, rounds).await?;
        report.raw.one_file = times;
        report.one_file_speedup_vs_sqlx = Some(speedup);
    }
    if only.contains(&&MigrateScenario::Create) {
        create(schemas, args.sizes.created_tenants, rounds, report).await?;
    }
    if only.contains(&&MigrateScenario::TwoRunners) {
        two_runners(schemas, rounds, report).await?;
    }
    Ok(())
}

async fn noop(schemas: &Schemas, rounds: u32, report: &mut Report) -> Result<(), Failure> {
    let raw = &mut report.raw;
    raw.noop = noop::run(schemas, rounds).await?;
    report.noop_ms = times::find(&raw.noop, "tenantry").map(Times::median);
    raw.noop_statements = noop::count(schemas).await?;
    report.noop_statements_per_1000 = raw.noop_statements.last().map(Statements::per_1000);
    Ok(())
}

async fn create(
    schemas: &Schemas,
    tenants: usize,
    rounds: u32,
    report: &mut Report,
) -> Result<(), Failure> {
    let times = create::run(schemas, tenants, rounds).await?;
    report.create_speedup_vs_files = Some(times::ratio(&times, "files", "tenantry"));
    report.spare_speedup_vs_files = Some(times::ratio(&times, "files", "tenantry_spares"));
    report.raw.created = Some(tenants);
    report.raw.create = times;
    Ok(())
}

async fn two_runners(schemas: &Schemas, rounds: u32, report: &mut Report) -> Result<(), Failure> {
    let ran = two_runners::run(schemas, rounds).await?;
    report.two_runners_ratio = Some(times::ratio(&ran.times, "two", "one"));
    report.applied_twice = Some(ran.applied_twice);
    report.raw.two_runners = ran.times;
    report.raw.two_runners_reports = ran.reports;
    Ok(())
}

/// Runs a scenario that starts its own server, or needs none.
async fn run_alone(
    args: &MigrateArgs,
    scenario: MigrateScenario,
    report: &mut Report,
) -> Result<(), Failure> {
    match scenario {
        MigrateScenario::SharedTouch => shared_touch(&args.sizes, report).await,
        MigrateScenario::ConcurrentIndex => concurrent_index(&args.sizes, report).await,
        MigrateScenario::Remembered => remembered(args, report).await,
        MigrateScenario::LongFile => {
            report.lint_ms = Some(long_file::run()?.as_secs_f64() * 1e3);
            Ok(())
        }
        _ => one_file_fsync(args, report).await,
    }
}

async fn shared_touch(sizes: &MigrateSizes, report: &mut Report) -> Result<(), Failure> {
    let empty = Empty::start(sizes.touching_tenants, shared_touch::SHARED).await?;
    report.raw.server = empty.version();
    let touched = shared_touch::run(&empty).await;
    empty.stop().await;
    let touched = touched?;
    report.raw.touched = Some(touched.migrated + touched.failed);
    report.shared_touch_failures = Some(touched.failed);
    Ok(())
}

async fn concurrent_index(sizes: &MigrateSizes, report: &mut Report) -> Result<(), Failure> {
    let snapshot = Duration::from_secs(sizes.snapshot_seconds);
    let empty = Empty::start(sizes.indexed_tenants, concurrent_index::SHARED).await?;
    report.raw.server = empty.version();
    let done = concurrent_index::run(&empty, snapshot).await;
    empty.stop().await;
    report.raw.indexed = Some(sizes.indexed_tenants);
    report.cic_fleet_dirty = Some(sizes.indexed_tenants - done?);
    Ok(())
}

async fn remembered(args: &MigrateArgs, report: &mut Report) -> Result<(), Failure> {
    let tenants = args.sizes.remembered_tenants;
    let empty = Empty::start(tenants, concurrent_index::SHARED).await?;
    report.raw.server = empty.version();
    let times = remembered::run(&empty, tenants, args.rounds).await;
    empty.stop().await;
    let times = times?;
    report.remembered_ms = times::find(&times, "remembered").map(Times::median);
    report.remembered_speedup_vs_verify = Some(times::ratio(&times, "verify", "remembered"));
    report.raw.remembered_tenants = Some(tenants);
    report.raw.remembered = times;
    Ok(())
}

async fn one_file_fsync(args: &MigrateArgs, report: &mut Report) -> Result<(), Failure> {
    let schemas = Schemas::start(args.sizes.fsync_tenants, Durability::OfADefault).await?;
    report.raw.server = schemas.version();
    if schemas.is_in_memory() && !args.sizes.fsync_in_memory {
        eprintln!("one_file_fsync: left out, since the server's files are in memory; set TMPDIR");
        schemas.stop().await;
        return Ok(());
    }
    let done = one_file::run("one_file_fsync", &schemas, args.rounds).await;
    schemas.stop().await;
    let OneFile { times, speedup } = done?;
    report.raw.fsync_tenants = Some(args.sizes.fsync_tenants);
    report.raw.one_file_fsync = times;
    report.one_file_speedup_vs_sqlx_fsync = Some(speedup);
    Ok(())
}

/// Builds a manager with default settings, without any connection yet.
fn manager(schemas: &Schemas) -> Result<TenantManager, Failure> {
    Ok(TenantManager::builder_with(schemas.options().clone()).build()?)
}

fn options() -> MigrateOptions {
    MigrateOptions::default().concurrency(CONCURRENCY)
}

/// A report with unfinished tenants does not produce a figure.
fn checked(report: MigrateReport) -> Result<MigrateReport, Failure> {
    Ok(report.into_result()?)
}
