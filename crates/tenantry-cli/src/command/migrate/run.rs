use std::time::Duration;

use clap::{Args, ValueEnum};
use tenantry::migrate::{
    MigrateOptions, MigrationPlan, OnFailure, SchemaState, SchemaStatus, Schemas, TransactionPer,
    WhenLocked, WithoutRecords,
};

use super::{ended, migrator_of, watched};
use crate::{
    command::{Ended, status},
    context::Context,
    failure::Failure,
    output::{Annotation, Format},
    selection::Selection,
    settings,
};

/// Arguments of `migrate` itself.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    selection: Selection,
    /// Only the shared schema; --all always includes it first
    #[arg(long, conflicts_with_all = ["all", "tenant", "tenants"])]
    shared: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Number of tenants to migrate concurrently
    #[arg(long, value_name = "TENANTS")]
    concurrency: Option<usize>,
    /// Tenants to migrate first; if one fails, no other is started. `a,b` or several times
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    canary: Vec<String>,
    /// Tenants per wave: the next wave starts only within --max-failures, which then defaults to 0
    #[arg(long, value_name = "TENANTS")]
    wave: Option<usize>,
    /// Number of tenants that may fail before no further one is started
    #[arg(long, alias = "error-budget", value_name = "TENANTS")]
    max_failures: Option<usize>,
    /// Start no further tenant after the first failure
    #[arg(long, conflicts_with = "max_failures")]
    fail_fast: bool,
    /// Stop at this version
    #[arg(long, value_name = "VERSION")]
    to: Option<i64>,
    /// How long a statement may wait for a lock
    #[arg(long, value_name = "TIME", value_parser = settings::duration)]
    lock_timeout: Option<Duration>,
    /// How long a statement may take
    #[arg(long, value_name = "TIME", value_parser = settings::duration)]
    statement_timeout: Option<Duration>,
    /// What to do about a tenant that another run is migrating
    #[arg(long, value_enum, default_value_t = Locked::Wait)]
    when_locked: Locked,
    /// Which files share a transaction
    #[arg(long, value_enum, default_value_t = Transaction::File)]
    transaction: Transaction,
    /// Apply files whose version is lower than an applied one
    #[arg(long)]
    allow_out_of_order: bool,
    /// Ignore records of migrations without a file
    #[arg(long)]
    ignore_missing: bool,
    /// Look at the records of every tenant, also of those that are remembered to have all files
    #[arg(long)]
    verify: bool,
    /// What to do about a schema with tables but no migration records
    #[arg(long, value_enum, default_value_t = Unrecorded::Refuse)]
    without_records: Unrecorded,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What to do about a tenant that another run is migrating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Locked {
    /// Wait for it, after the others
    Wait,
    /// Skip it, and report it
    Skip,
}

/// What to do about a schema with tables but no migration records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Unrecorded {
    /// Refuse it, and report it: `migrate baseline` records what it has
    Refuse,
    /// Run the files on top of the existing tables
    Migrate,
}

/// Which files share a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transaction {
    /// One transaction per file
    File,
    /// One transaction for all pending files of a tenant
    Tenant,
}

impl Run {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let schemas = self.schemas()?;
        let migrator = migrator_of(on, &schemas).await?;
        let options = self.options(on);
        if self.dry_run {
            let plan = migrator.plan(schemas, &options);
            let plan = on.interruptible("nothing was read", plan).await?;
            return self.planned(on, &plan);
        }
        let options = watched(on, "migrate", options);
        let report = match schemas {
            Schemas::AllTenants => migrator.migrate_all(options).await,
            Schemas::Shared => migrator.migrate_shared(options).await,
            Schemas::Tenants(tenants) => migrator.migrate(tenants, options).await,
            _ => return Err(Failure::new("these schemas cannot be migrated")),
        }?;
        if self.format == Format::Github {
            on.output.annotate(&failures(&report))?;
        }
        ended(on, &report)
    }

    fn schemas(&self) -> Result<Schemas, Failure> {
        match (self.dry_run, self.shared) {
            (_, true) => Ok(Schemas::Shared),
            // A dry run is safe, so all tenants are the default.
            (true, false) => self.selection.schemas(),
            (false, false) => self.selection.schemas_to_change(),
        }
    }

    fn options(&self, on: &Context) -> MigrateOptions {
        let options = on
            .settings
            .migrate_options()
            .allow_out_of_order(self.allow_out_of_order)
            .ignore_missing(self.ignore_missing);
        self.handling(self.rollout(self.limits(options)))
    }

    /// Sets how far and how long to migrate.
    fn limits(&self, mut options: MigrateOptions) -> MigrateOptions {
        if let Some(version) = self.to {
            options = options.to(version);
        }
        if let Some(timeout) = self.lock_timeout {
            options = options.lock_timeout(timeout);
        }
        if let Some(timeout) = self.statement_timeout {
            options = options.statement_timeout(timeout);
        }
        options
    }

    /// Sets the order of the tenants, and when to stop.
    fn rollout(&self, mut options: MigrateOptions) -> MigrateOptions {
        if let Some(concurrency) = self.concurrency {
            options = options.concurrency(concurrency);
        }
        if !self.canary.is_empty() {
            options = options.canary(&self.canary);
        }
        if let Some(wave) = self.wave {
            options = options.wave(wave);
        }
        // Without a budget, a wave would never be the last one.
        let budget = self.max_failures.or(self.wave.map(|_| 0));
        if let Some(budget) = budget {
            options = options.error_budget(budget);
        }
        if self.fail_fast {
            options = options.on_failure(OnFailure::Abort);
        }
        options
    }

    /// Sets the handling of each tenant.
    fn handling(&self, mut options: MigrateOptions) -> MigrateOptions {
        if self.when_locked == Locked::Skip {
            options = options.when_locked(WhenLocked::Skip);
        }
        if self.without_records == Unrecorded::Migrate {
            options = options.without_records(WithoutRecords::Migrate);
        }
        if self.verify {
            options = options.verify(true);
        }
        if self.transaction == Transaction::Tenant {
            options = options.transaction(TransactionPer::Tenant);
        }
        options
    }

    fn planned(&self, on: &Context, plan: &MigrationPlan) -> Ended {
        if self.format == Format::Github {
            on.output.annotate(&annotations(plan))?;
        } else {
            on.output.report(plan, || plan.to_string())?;
        }
        // Pending files are the purpose of a dry run.
        let exit = status::exit_of(plan);
        let warns = !plan.lint.is_empty() || plan.doubtful > 0;
        Ok(if exit == crate::exit::Exit::Warnings && !warns {
            crate::exit::Exit::Fine
        } else {
            exit
        })
    }
}

/// Returns the findings of a dry run as annotations for a pull request.
fn annotations(plan: &MigrationPlan) -> Vec<Annotation> {
    let mut found = super::lint::annotations(&plan.lint);
    found.extend(plan.shared.iter().chain(&plan.tenants).filter_map(annotation));
    let pending = format!(
        "{} of {} tenants pending, {} up to date, {} blocked",
        plan.pending, plan.total, plan.up_to_date, plan.blocked
    );
    found.push(Annotation::notice("migrations".to_owned(), pending));
    found
}

/// Returns an annotation for a schema that needs attention.
fn annotation(status: &SchemaStatus) -> Option<Annotation> {
    let name = status.tenant_id.as_deref().unwrap_or("(shared)");
    let error = status.error.iter().map(ToString::to_string);
    match status.state {
        SchemaState::UpToDate | SchemaState::Pending => None,
        SchemaState::Doubtful => {
            Some(Annotation::warning(format!("{name} is doubtful"), error.collect()))
        }
        _ => {
            let why = status.problems.iter().map(ToString::to_string).chain(error);
            let why = why.collect::<Vec<_>>().join("; ");
            Some(Annotation::error(format!("{name} cannot be migrated"), why))
        }
    }
}

/// Returns failed tenants as annotations for a workflow.
fn failures(report: &tenantry::migrate::MigrateReport) -> Vec<Annotation> {
    let all = report.shared.iter().chain(&report.tenants);
    let failed = all.filter(|tenant| !tenant.is_success()).filter_map(|tenant| {
        let name = tenant.tenant_id.as_deref().unwrap_or("(shared)");
        Some(Annotation::error(format!("{name} was not migrated"), tenant.error()?.to_string()))
    });
    failed.collect()
}
