mod baseline;
mod forget;
mod lint;
mod mark;
mod new;
mod revert;
mod row_tables;
mod run;

use clap::{Args, Subcommand};
use tenantry::migrate::{
    End, MigrateOptions, MigrateReport, Progress as Step, Schemas, TenantMigrator,
};

pub(super) use self::lint::{LintReports, RuleView};
use super::Ended;
use crate::{context::Context, exit::Exit, failure::Failure};

/// Arguments of `migrate`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Migrate {
    #[command(subcommand)]
    command: Option<MigrateCommand>,
    #[command(flatten)]
    run: run::Run,
}

#[derive(Debug, Subcommand)]
enum MigrateCommand {
    /// Create a migration file
    New(new::New),
    /// Revert migrations with their .down.sql files
    Revert(revert::Revert),
    /// Record the migrations that existing schemas match, or write a first migration from a schema
    Baseline(baseline::Baseline),
    /// Record migrations as applied without running them
    Mark(mark::Mark),
    /// Delete records of migrations that failed or have no file
    Forget(forget::Forget),
    /// Check the files, without a database
    Lint(lint::LintFiles),
}

impl Migrate {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        match self.command {
            None => self.run.run(on).await,
            Some(MigrateCommand::New(command)) => command.run(on),
            Some(MigrateCommand::Revert(command)) => command.run(on).await,
            Some(MigrateCommand::Baseline(command)) => command.run(on).await,
            Some(MigrateCommand::Mark(command)) => command.run(on).await,
            Some(MigrateCommand::Forget(command)) => command.run(on).await,
            Some(MigrateCommand::Lint(command)) => command.run(on),
        }
    }
}

/// Makes the run show its progress and stop on Ctrl-C.
fn watched(on: &Context, what: &'static str, options: MigrateOptions) -> MigrateOptions {
    let progress = on.output.progress(what);
    progress.say("reading the migration records of every schema");
    options.stop_when(on.interrupt.clone().wait()).on_progress(move |step| match step {
        Step::Started { tenant } => progress.say(tenant.unwrap_or("(shared)")),
        Step::File { tenant, file } => {
            progress.say(&format!(
                "{}: {}",
                tenant.unwrap_or("(shared)"),
                file.file.as_deref().unwrap_or_default()
            ));
        }
        Step::Ended { tenant, done, total } => {
            let name = tenant.tenant_id.as_deref().unwrap_or("(shared)");
            if let Some(error) = tenant.error() {
                progress.line(&format!("{name}: failed: {error}"));
            }
            progress.set(*done, *total, name);
        }
        _ => (),
    })
}

/// Returns the schemas that a command changes: `--shared`, or named tenants.
fn schemas(shared: bool, selection: &crate::selection::Selection) -> Result<Schemas, Failure> {
    if shared { Ok(Schemas::Shared) } else { selection.schemas_to_change() }
}

/// Returns the migrator, if it has the migrations of these schemas.
async fn migrator_of(on: &Context, schemas: &Schemas) -> Result<TenantMigrator, Failure> {
    match schemas {
        Schemas::Shared if on.shared_migrations()?.is_none() => {
            Err(Failure::new("there are no migrations of the shared schema")
                .hint("set migrations.shared to their folder"))
        }
        Schemas::Shared => on.migrator(),
        _ => {
            on.needed_migrations()?;
            on.reach().await?;
            on.migrator()
        }
    }
}

/// Prints the report of a run.
fn ended(on: &Context, report: &MigrateReport) -> Ended {
    on.output.report(report, || report.to_string())?;
    Ok(match report.is_success() {
        // A failure takes precedence over schemas that were not started.
        false if report.end == End::Stopped && report.failed == 0 => Exit::Interrupted,
        false => Exit::Problems,
        true if report.lint.is_empty() && report.doubtful == 0 => Exit::Fine,
        true => Exit::Warnings,
    })
}
