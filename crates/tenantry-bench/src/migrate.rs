//! The benchmark of migrations: all tenants' schemas, by Tenantry and by sqlx's own `Migrator`.

mod counter;
mod create;
mod files;
mod noop;
mod one_file;
mod schemas;

use serde::Serialize;

use self::{
    create::Creating,
    noop::Statements,
    one_file::{OneFile, TwoRunners},
    schemas::Schemas,
};
use crate::{args::MigrateArgs, failure::Failure, stats::median};

/// All figures, in the shape of the JSON file.
#[derive(Debug, Serialize)]
pub(crate) struct MigrateReport {
    /// `migrate_all` with nothing to do.
    pub(crate) noop_ms: f64,
    /// Statements that the server has run for that, for each thousand tenants.
    pub(crate) noop_statements_per_1000: f64,
    /// One new file in all schemas: how many times as fast as sqlx's `Migrator` in a loop.
    pub(crate) one_file_speedup_vs_sqlx: f64,
    /// A new tenant: how many times as fast as running all files by sqlx's `Migrator`.
    pub(crate) create_speedup_vs_files: f64,
    /// How long two runners at once take, of what one takes.
    pub(crate) two_runners_ratio: f64,
    /// Schemas in which a file was run twice, in all rounds.
    pub(crate) applied_twice: u64,
    pub(crate) raw: Raw,
}

/// What the figures were made of.
#[derive(Debug, Serialize)]
pub(crate) struct Raw {
    pub(crate) tenants: usize,
    pub(crate) rounds: u32,
    /// The server's version.
    pub(crate) server: String,
    pub(crate) noop_ms: Vec<f64>,
    pub(crate) statements: Vec<Statements>,
    pub(crate) one_file: OneFile,
    /// The same where every commit waits for the disk, with fewer tenants.
    pub(crate) one_file_fsync: OneFile,
    pub(crate) two_runners: TwoRunners,
    pub(crate) create: Creating,
}

/// Runs all of it.
pub(crate) async fn run(args: &MigrateArgs) -> Result<MigrateReport, Failure> {
    let schemas = Schemas::create(args.tenants, "off").await?;
    let report = run_in(args, &schemas).await;
    schemas.stop().await;
    report
}

async fn run_in(args: &MigrateArgs, schemas: &Schemas) -> Result<MigrateReport, Failure> {
    let noop_ms = noop::run(schemas, args.rounds).await?;
    let half = (args.tenants / 2).max(1);
    let statements = vec![
        noop::statements(schemas, half).await?,
        noop::statements(schemas, args.tenants).await?,
    ];
    let one_file = one_file::run(schemas, args.rounds).await?;
    let two_runners = one_file::run_two(schemas, args.rounds).await?;
    let create = create::run(schemas, args.rounds, args.created).await?;
    let on_disk = Schemas::create((args.tenants / 10).max(1), "on").await?;
    let one_file_fsync = one_file::run(&on_disk, args.rounds).await;
    on_disk.stop().await;
    Ok(MigrateReport {
        noop_ms: median(noop_ms.iter().copied()),
        noop_statements_per_1000: statements.last().map_or(f64::NAN, Statements::per_1000),
        one_file_speedup_vs_sqlx: one_file.speedup(),
        create_speedup_vs_files: create.speedup(),
        two_runners_ratio: two_runners.ratio(),
        applied_twice: two_runners.applied_twice,
        raw: Raw {
            tenants: args.tenants,
            rounds: args.rounds,
            server: schemas.version(),
            noop_ms,
            statements,
            one_file,
            one_file_fsync: one_file_fsync?,
            two_runners,
            create,
        },
    })
}
