use std::collections::BTreeMap;

use futures_util::FutureExt;

use crate::{
    doctor::{Affected, BuiltIn, Examined, Finding, Subject, text::counted},
    error::Error,
    migrate::{
        LintReport, MigrateOptions, MigrationPlan, Migrations, SchemaState, SchemaStatus, Schemas,
    },
};

/// The migrations of tenants: how many files, and which tenants lack some.
pub(super) const TENANTS: BuiltIn = BuiltIn {
    name: "migrations",
    title: "Migrations folder",
    reads: "the migration records of tenants",
    look: |on| tenants(on).boxed(),
};

/// The migrations of the shared schema.
pub(super) const SHARED: BuiltIn = BuiltIn {
    name: "sharedMigrations",
    title: "Shared migrations folder",
    reads: "the migration records of the shared schema",
    look: |on| shared(on).boxed(),
};

/// The maximum number of problems and findings named in a detail.
const NAMED: usize = 3;

async fn tenants(on: &Subject) -> Result<Examined, Error> {
    let Some(set) = on.migrations() else { return Ok(Examined::skipped("none configured")) };
    if let Err(error) = on.tenants() {
        return Ok(Examined::not_listed("the migration records of tenants", error));
    }
    let migrator = on.manager().migrator().tenants(set.clone());
    let mut plan = migrator.plan(Schemas::AllTenants, &MigrateOptions::default()).await?;
    let away = leave_out_away(on, &mut plan).await;
    let left = [(plan.pending, "pending"), (plan.blocked, "blocked")];
    let left = left.into_iter().filter(|(count, _)| *count > 0);
    let left: Vec<_> =
        left.map(|(count, how)| format!("{} {how}", counted(count, "tenant", "tenants"))).collect();
    let examined = counted_files(set, &left).findings(in_files(&plan.lint, set));
    let examined = examined.findings(pending(&plan)).findings(blocked(&plan));
    let examined = examined.findings(unrecorded(&plan)).findings(doubtful(&plan));
    let away = away.iter();
    Ok(away.fold(examined, |examined, (server, tenants)| examined.away(server, Some(*tenants))))
}

/// Takes the tenants that could not be read, because their server is away, out of a plan: nothing is wrong with their
/// records. Returns how many there are on each server.
async fn leave_out_away(on: &Subject, plan: &mut MigrationPlan) -> BTreeMap<String, usize> {
    let homes = on.homes().await;
    let is_away = |status: &SchemaStatus| {
        let server = status.server.as_deref();
        let is_unreachable = status.state == SchemaState::Unreachable;
        on.tells_away && is_unreachable && server.is_some_and(|name| homes.away.contains_key(name))
    };
    let (away, rest): (Vec<_>, Vec<_>) =
        std::mem::take(&mut plan.tenants).into_iter().partition(is_away);
    plan.blocked = plan.blocked.saturating_sub(away.len());
    plan.tenants = rest;
    let mut by_server = BTreeMap::new();
    for status in &away {
        let server = status.server.as_deref().unwrap_or_default().to_owned();
        *by_server.entry(server).or_default() += status.row_tenants.unwrap_or(1);
    }
    by_server
}

async fn shared(on: &Subject) -> Result<Examined, Error> {
    let Some(set) = on.shared_migrations() else { return Ok(Examined::skipped("none configured")) };
    let migrator = on.manager().migrator().shared(set.clone());
    let plan = migrator.plan(Schemas::Shared, &MigrateOptions::default()).await?;
    let examined = counted_files(set, &[]).findings(in_files(&plan.lint, set));
    let Some(status) = &plan.shared else { return Ok(examined) };
    let finding = match status.state {
        SchemaState::UpToDate => return Ok(examined),
        SchemaState::Pending => Finding::warning(
            format!("the shared schema lacks {}", files_pending(status)),
            "code that expects the new objects fails",
        )
        .how("migrate the shared schema"),
        _ => Finding::error("the shared schema cannot be migrated", detail(status)).how(REPAIR),
    };
    Ok(examined.finding(finding))
}

/// What to do about records that do not match the files.
const REPAIR: &str = "look at the migration plan: mark what was applied by hand, forget what has no file, or restore \
                      the file that was applied";

/// Reports how many files there are and what is left to do; the text report includes the folder.
fn counted_files(set: &Migrations, left: &[String]) -> Examined {
    let files = counted(set.files().len(), "file", "files");
    let left = left.iter().map(|left| format!(", {left}")).collect::<String>();
    let examined = Examined::ok(format!("{files}{left}"));
    match set.folder() {
        Some(folder) => examined.in_words(format!("{} ({files}){left}", folder.display())),
        None => examined,
    }
}

fn files_pending(status: &SchemaStatus) -> String {
    counted(status.pending.len(), "migration", "migrations")
}

fn pending(plan: &MigrationPlan) -> Option<Finding> {
    let mut of: Vec<_> = of_state(plan, |state| state == SchemaState::Pending);
    if of.is_empty() {
        return None;
    }
    of.sort_by_key(|status| std::cmp::Reverse(status.pending.len()));
    let tenants = affected(plan, &of, |status| format!("{} pending", files_pending(status)));
    let finding = Finding::warning(
        "migrations have not been applied",
        "code that expects the new objects fails for these tenants",
    );
    Some(finding.how("migrate all tenants").tenants(tenants))
}

fn blocked(plan: &MigrationPlan) -> Option<Finding> {
    let of: Vec<_> = of_state(plan, |state| {
        !matches!(
            state,
            SchemaState::Pending
                | SchemaState::UpToDate
                | SchemaState::NeedsBaseline
                | SchemaState::Doubtful
        )
    });
    if of.is_empty() {
        return None;
    }
    let tenants = affected(plan, &of, detail);
    let finding = Finding::error(
        "tenants cannot be migrated",
        "their migration records do not match the files, or their schemas cannot be read",
    );
    Some(finding.how(REPAIR).tenants(tenants))
}

fn unrecorded(plan: &MigrationPlan) -> Option<Finding> {
    let of: Vec<_> = of_state(plan, |state| state == SchemaState::NeedsBaseline);
    if of.is_empty() {
        return None;
    }
    let finding = Finding::error(
        "tenants have tables and no migration records",
        "no migration is run in their schemas: it would create tables that exist",
    );
    let how = "record the migrations that they have with TenantMigrator::baseline";
    Some(finding.how(how).tenants(affected(plan, &of, detail)))
}

fn doubtful(plan: &MigrationPlan) -> Option<Finding> {
    let of: Vec<_> = of_state(plan, |state| state == SchemaState::Doubtful);
    if of.is_empty() {
        return None;
    }
    let finding = Finding::warning(
        "schemas have a tenant's name and no migration records",
        "they are listed and served as tenants, and no migration is run in them",
    );
    let how = "except them from the catalog with SchemaDiscovery::except, or record the migrations that they have with \
               TenantMigrator::baseline";
    Some(finding.how(how).tenants(affected(plan, &of, detail)))
}

fn of_state(plan: &MigrationPlan, test: impl Fn(SchemaState) -> bool) -> Vec<&SchemaStatus> {
    plan.tenants.iter().filter(|status| test(status.state)).collect()
}

fn affected(
    plan: &MigrationPlan,
    of: &[&SchemaStatus],
    detail: impl Fn(&SchemaStatus) -> String,
) -> Affected {
    of.iter().fold(Affected::new(of.len(), plan.total), |affected, status| {
        affected.worst(status.tenant_id.as_deref().unwrap_or_default(), detail(status))
    })
}

/// Describes the problems of a schema.
fn detail(status: &SchemaStatus) -> String {
    let problems = status.problems.iter().map(ToString::to_string);
    let told = problems.chain(status.error.iter().map(ToString::to_string));
    let told: Vec<_> = told.take(NAMED).collect();
    if told.is_empty() { status.state.as_str().to_owned() } else { told.join("; ") }
}

fn in_files(lint: &LintReport, set: &Migrations) -> Vec<Finding> {
    let words = |of: &[crate::migrate::FileFinding]| {
        let named: Vec<_> = of.iter().take(NAMED).map(ToString::to_string).collect();
        named.join("; ")
    };
    let mut findings = Vec::new();
    if !lint.errors.is_empty() {
        let count = counted(lint.errors.len(), "statement is", "statements are");
        let finding =
            Finding::error(format!("{count} forbidden in migrations"), words(&lint.errors));
        findings.push(finding.how("change the files: a run refuses them"));
    }
    if !lint.warnings.is_empty() {
        let count = counted(lint.warnings.len(), "statement", "statements");
        let what = format!("{count} in migrations may block requests or leave objects behind");
        findings.push(
            Finding::warning(what, words(&lint.warnings))
                .how("follow the advice of the migration lint"),
        );
    }
    if let Some(stray) = set.stray().first() {
        let what = format!("{stray} reverts a migration that does not exist");
        let why = "it is passed over; another file may have been deleted or renamed by mistake";
        findings.push(Finding::info(what, why).how("restore its migration, or delete the file"));
    }
    findings
}
