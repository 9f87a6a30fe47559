use std::collections::BTreeMap;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use tenantry::{
    TenantRecord, TenantState,
    migrate::{MigrationPlan, SchemaState, SchemaStatus, Schemas},
};

use super::Ended;
use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Table, counted},
};

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// List tenants that are up to date, too
    #[arg(long, short)]
    all: bool,
}

/// How far the tenants have come.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "StatusReport")]
pub(crate) struct StatusReport {
    /// Tenants by state.
    tenants: Counts,
    /// How every schema compares with the migrations; null without migrations.
    migrations: Option<MigrationPlan>,
}

/// Tenants by state.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    total: usize,
    active: usize,
    suspended: usize,
    /// Those on their way to another place.
    moving: usize,
    /// Those whose creation has not ended.
    in_the_making: usize,
    /// The number on each server, if they are on several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    by_server: BTreeMap<String, usize>,
}

impl Counts {
    fn of(records: &[TenantRecord]) -> Self {
        let count = |holds: fn(&TenantRecord) -> bool| {
            records.iter().filter(|record| holds(record)).count()
        };
        Self {
            total: records.len(),
            active: count(|record| record.state == TenantState::Active && record.step.is_none()),
            suspended: count(|record| {
                record.state == TenantState::Suspended && record.step.is_none()
            }),
            moving: count(|record| record.state.is_moving() && record.step.is_none()),
            in_the_making: count(|record| record.step.is_some()),
            by_server: by_server(records),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}: {} active", counted(self.total, "tenant"), self.active);
        for (count, what) in [
            (self.suspended, "suspended"),
            (self.moving, "moving"),
            (self.in_the_making, "in the making"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        if !self.by_server.is_empty() {
            let each = self.by_server.iter().map(|(server, count)| format!("{count} on {server}"));
            text.push_str(&format!("; {}", each.collect::<Vec<_>>().join(", ")));
        }
        text
    }
}

/// Counts the tenants of each server, if they are on several.
fn by_server(records: &[TenantRecord]) -> BTreeMap<String, usize> {
    let mut servers = BTreeMap::new();
    for record in records {
        let server = record.server.as_deref().unwrap_or("main");
        *servers.entry(server.to_owned()).or_default() += 1;
    }
    if servers.keys().all(|server| server == "main") { BTreeMap::new() } else { servers }
}

impl Status {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let progress = on.output.progress("status");
        progress.say("reading the migration records of every schema");
        let report = on.interruptible("nothing was read", StatusReport::read(on)).await?;
        drop(progress);
        on.output.report(&report, || report.text(self.all))?;
        if report.migrations.is_none() {
            on.output.warn(
                "there are no migrations to compare with: set migrations.tenants to their folder",
            );
        }
        Ok(report.migrations.as_ref().map_or(Exit::Warnings, exit_of))
    }
}

/// Anything that prevents a schema from being migrated is a problem; pending files are a warning.
pub(super) fn exit_of(plan: &MigrationPlan) -> Exit {
    let shared = plan.shared.as_ref().map(|shared| shared.state);
    let is_blocked = |state| {
        !matches!(state, SchemaState::UpToDate | SchemaState::Pending | SchemaState::Doubtful)
    };
    if plan.blocked > 0 || !plan.lint.is_success() || shared.is_some_and(is_blocked) {
        Exit::Problems
    } else if plan.pending > 0
        || plan.doubtful > 0
        || shared == Some(SchemaState::Pending)
        || !plan.lint.is_empty()
    {
        Exit::Warnings
    } else {
        Exit::Fine
    }
}

impl StatusReport {
    async fn read(on: &Context) -> Result<Self, Failure> {
        let (manager, migrator) = (on.manager()?, on.migrator()?);
        let has_migrations = on.tenant_migrations()?.is_some();
        let plan = async {
            match has_migrations {
                true => migrator
                    .plan(Schemas::AllTenants, &on.settings.migrate_options())
                    .await
                    .map(Some),
                false => Ok(None),
            }
        };
        let (tenants, migrations) = tokio::try_join!(manager.tenants(), plan)?;
        Ok(Self { tenants: Counts::of(&tenants), migrations })
    }

    fn text(&self, all: bool) -> String {
        let mut text = self.tenants.text();
        if let Some(plan) = &self.migrations {
            text.push_str(&format!(
                "\nmigrations: {} up to date, {} pending, {} blocked",
                plan.up_to_date, plan.pending, plan.blocked
            ));
            if plan.doubtful > 0 {
                text.push_str(&format!(", {} doubtful", plan.doubtful));
            }
            let table = table(plan, all);
            if !table.is_empty() {
                text.push_str(&format!("\n\n{table}"));
            }
            if !plan.lint.is_empty() {
                text.push_str(&format!("\n\n{}", plan.lint));
            }
        }
        text
    }
}

/// Lists the schemas that are not up to date, or all.
pub(super) fn table(plan: &MigrationPlan, all: bool) -> Table {
    let mut table = Table::new(["tenant", "schema", "state", "applied", "pending", "remarks"]);
    for status in plan.shared.iter().chain(&plan.tenants) {
        if all || status.state != SchemaState::UpToDate {
            table.row(row(status));
        }
    }
    table
}

fn row(status: &SchemaStatus) -> [String; 6] {
    let pending = match status.pending.as_slice() {
        [] => "-".to_owned(),
        [only] => only.file.to_string(),
        [first, rest @ ..] => format!("{} and {} more", first.file, rest.len()),
    };
    let remarks = (status.begun.iter().map(ToString::to_string))
        .chain(status.problems.iter().map(ToString::to_string))
        .chain(status.invalid.iter().map(ToString::to_string))
        .chain(status.error.iter().map(ToString::to_string));
    [
        status.tenant_id.as_deref().unwrap_or("(shared)").to_owned(),
        status.schema.as_deref().unwrap_or("-").to_owned(),
        status.state.as_str().replace('_', " "),
        status.applied.to_string(),
        pending,
        remarks.collect::<Vec<_>>().join("; "),
    ]
}
