//! Results of migration runs, and plans.

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;

use super::{Action, Failure, FailureReason, Invalid, LintReport, Problem, schemas::ROWS};
use crate::{
    error::{Error, ErrorKind},
    event::serialize_millis,
    incomplete::Incomplete,
    table::Table,
};

/// Result of an operation on the schemas of many tenants, for every tenant.
///
/// `Display` writes a summary, with a table of the unfinished tenants.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it lists the tenants that were not migrated; `into_result` converts them to an error"]
pub struct MigrateReport {
    /// How the operation ended.
    pub end: End,
    /// Tenants in total; a tenant that was named twice counts once, as do all tenants that are isolated by row.
    pub total: usize,
    /// Tenants in which all pending files were applied.
    pub migrated: usize,
    /// Tenants in which all requested migrations were reverted.
    pub reverted: usize,
    /// Tenants in which files were recorded as applied without being run.
    pub marked: usize,
    /// Tenants in which records were deleted, or failures cleared.
    pub forgotten: usize,
    /// Tenants without pending work.
    pub up_to_date: usize,
    /// Tenants that failed. Their `files` list what was done before the failure.
    pub failed: usize,
    /// Tenants that were skipped because another run has locked them.
    pub skipped: usize,
    /// Tenants that were not started.
    pub not_started: usize,
    /// Schemas that may not belong to tenants and in which nothing was run: they hold tables but no migration
    /// records, while other tenants have records.
    pub doubtful: usize,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// The shared schema, if it was included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<TenantMigration>,
    /// Every tenant, in the order of the catalog or of their names in the call. The tables of those that are isolated
    /// by row are the last one, `(rows)`.
    pub tenants: Vec<TenantMigration>,
    /// Warnings about the files.
    #[serde(skip_serializing_if = "LintReport::is_empty")]
    pub lint: LintReport,
    /// The outcome of a tenant in which everything was done.
    #[serde(skip)]
    aim: Aim,
}

/// What an operation does to tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Aim {
    #[default]
    Migrate,
    Revert,
    Mark,
    Forget,
}

/// How an operation on many tenants ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum End {
    /// Every tenant was processed, or failed.
    Completed,
    /// The shared schema failed, so no tenant was started.
    SharedFailed,
    /// A canary failed, so none of the other tenants was started.
    CanaryFailed,
    /// A tenant failed, and the run was configured to stop then.
    Aborted,
    /// More tenants failed than the error budget allows.
    OverBudget,
    /// The database is read-only: it is a standby, or configured as read-only.
    ReadOnly,
    /// A node of the main server's Citus cluster does not answer its coordinator, and no schema can be changed without
    /// it. Run it again later: what was done stays.
    ClusterUnavailable,
    /// The run was told to stop.
    Stopped,
}

impl End {
    /// Returns the snake-case name that JSON uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::SharedFailed => "shared_failed",
            Self::CanaryFailed => "canary_failed",
            Self::Aborted => "aborted",
            Self::OverBudget => "over_budget",
            Self::ReadOnly => "read_only",
            Self::ClusterUnavailable => "cluster_unavailable",
            Self::Stopped => "stopped",
        }
    }
}

/// Result for one tenant, or for the shared schema.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantMigration {
    /// The tenant, as it was named; `None` for the shared schema.
    pub tenant_id: Option<Arc<str>>,
    /// Its schema, if it is known.
    #[serde(rename = "schemaName")]
    pub schema: Option<Arc<str>>,
    /// The server that it lives on, if the manager has [several](crate::ManagerBuilder::server) and it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// The database that it lives in, if that is not the one in the URL of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
    /// If these are the tables of tenants that are isolated by row: how many of those are in this call. `tenant_id` is
    /// then `(rows)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_tenants: Option<usize>,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What was done, in this order. It is durable, regardless of later failures.
    pub files: Vec<FileDone>,
    /// The number of attempts; 0 if none was necessary.
    pub attempts: u32,
    /// How long it took, including waits for other runs.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// Outcome for a tenant.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// Every pending file was applied.
    Migrated,
    /// Every requested migration was reverted.
    Reverted,
    /// Files were recorded as applied, and not run.
    Marked,
    /// Records were deleted, or failures cleared.
    Forgotten,
    /// There was nothing to do; another run may have done it meanwhile.
    UpToDate,
    /// It failed.
    Failed {
        /// The reason.
        error: Failure,
    },
    /// Another run has locked it.
    Skipped,
    /// It was not started.
    NotStarted,
    /// Nothing was run in it: the schema has a tenant's name and holds tables but no migration records, while other
    /// tenants have records, so it may not belong to a tenant.
    Doubtful {
        /// What was found.
        error: Failure,
    },
}

impl Outcome {
    /// Returns the snake-case name that events and JSON use.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Migrated => "migrated",
            Self::Reverted => "reverted",
            Self::Marked => "marked",
            Self::Forgotten => "forgotten",
            Self::UpToDate => "up_to_date",
            Self::Failed { .. } => "failed",
            Self::Skipped => "skipped",
            Self::NotStarted => "not_started",
            Self::Doubtful { .. } => "doubtful",
        }
    }
}

/// What was done with one migration.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FileDone {
    /// Its version.
    pub version: i64,
    /// What was done.
    pub action: Action,
    /// Its file, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Arc<str>>,
    /// How long it took; for files that share a transaction, the total.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// A progress notification for [`on_progress`](super::MigrateOptions::on_progress).
///
/// `Display` writes one line.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A tenant was started; `None` is the shared schema.
    Started {
        /// The tenant.
        tenant: Option<&'a str>,
    },
    /// A file is done.
    File {
        /// The tenant; `None` is the shared schema.
        tenant: Option<&'a str>,
        /// The file.
        file: &'a FileDone,
    },
    /// A tenant has ended.
    Ended {
        /// Its result.
        tenant: &'a TenantMigration,
        /// Tenants that have ended so far, including this one.
        done: usize,
        /// Tenants in total.
        total: usize,
    },
}

impl MigrateReport {
    pub(super) fn new(
        end: End,
        shared: Option<TenantMigration>,
        tenants: Vec<TenantMigration>,
        duration: Duration,
    ) -> Self {
        let count = |outcome: &str| {
            tenants.iter().filter(|tenant| tenant.outcome.as_str() == outcome).count()
        };
        Self {
            end,
            total: tenants.len(),
            migrated: count("migrated"),
            reverted: count("reverted"),
            marked: count("marked"),
            forgotten: count("forgotten"),
            up_to_date: count("up_to_date"),
            failed: count("failed"),
            skipped: count("skipped"),
            not_started: count("not_started"),
            doubtful: count("doubtful"),
            duration,
            shared,
            tenants,
            lint: LintReport::default(),
            aim: Aim::default(),
        }
    }

    pub(super) fn with_lint(self, lint: LintReport) -> Self {
        Self { lint, ..self }
    }

    pub(super) fn with_aim(self, aim: Aim) -> Self {
        Self { aim, ..self }
    }

    /// Returns `true` if nothing is left to do: no schema failed, was skipped or was not started.
    #[must_use]
    pub fn is_success(&self) -> bool {
        let shared = self.shared.as_ref().is_none_or(TenantMigration::is_success);
        shared && self.tenants.iter().all(TenantMigration::is_success)
    }

    /// Returns the report, or an error that contains it if something is left to do.
    ///
    /// # Errors
    ///
    /// [`Incomplete`] with the report, which becomes an [`Error`](crate::Error) of
    /// [`ErrorKind::Migration`](crate::ErrorKind::Migration).
    pub fn into_result(self) -> Result<Self, Incomplete<Self>> {
        if self.is_success() {
            return Ok(self);
        }
        let first =
            self.shared.iter().chain(&self.tenants).find_map(|tenant| match &tenant.outcome {
                Outcome::Failed { error } => {
                    Some((name_of(tenant.tenant_id.as_deref()).to_owned(), error.to_string()))
                }
                _ => None,
            });
        Err(Incomplete::new(self, first))
    }
}

impl From<Incomplete<MigrateReport>> for Error {
    fn from(incomplete: Incomplete<MigrateReport>) -> Self {
        Self::new(ErrorKind::Migration, "migrating the tenants").with_source(incomplete)
    }
}

impl TenantMigration {
    pub(super) fn new(
        tenant_id: Option<Arc<str>>,
        schema: Option<Arc<str>>,
        outcome: Outcome,
    ) -> Self {
        let (files, attempts, duration) = (Vec::new(), 0, Duration::ZERO);
        let (server, database, row_tenants) = (None, None, None);
        Self {
            tenant_id,
            schema,
            server,
            database,
            row_tenants,
            outcome,
            files,
            attempts,
            duration,
        }
    }

    /// Records where it lives.
    pub(super) fn at(self, (server, database): (Option<Arc<str>>, Option<Arc<str>>)) -> Self {
        Self { server, database, ..self }
    }

    /// Records that these are the tables of some tenants that are isolated by row.
    pub(super) fn of_rows(self, row_tenants: Option<usize>) -> Self {
        Self { row_tenants, ..self }
    }

    /// Returns `true` if nothing is left to do.
    #[must_use]
    pub fn is_success(&self) -> bool {
        match self.outcome {
            Outcome::Migrated
            | Outcome::Reverted
            | Outcome::Marked
            | Outcome::Forgotten
            | Outcome::UpToDate
            | Outcome::Doubtful { .. } => true,
            Outcome::Failed { .. } | Outcome::Skipped | Outcome::NotStarted => false,
        }
    }

    /// Returns why it failed, or why it is [doubtful](Outcome::Doubtful).
    #[must_use]
    pub fn error(&self) -> Option<&Failure> {
        match &self.outcome {
            Outcome::Failed { error } | Outcome::Doubtful { error } => Some(error),
            _ => None,
        }
    }
}

/// The label of the shared schema in places where tenants have their ids.
fn name_of(tenant: Option<&str>) -> &str {
    tenant.unwrap_or("(shared)")
}

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { tenant } => write!(f, "{}: started", name_of(*tenant)),
            Self::File { tenant, file } => {
                let what = serde_name(file.action);
                write!(f, "{}: {what} {}", name_of(*tenant), file.version)?;
                write!(f, " in {:.1?}", file.duration)
            }
            Self::Ended { tenant, done, total } => {
                let name = name_of(tenant.tenant_id.as_deref());
                write!(f, "[{done}/{total}] {name}: {}", tenant.outcome.as_str())?;
                tenant.error().map_or(Ok(()), |error| write!(f, ": {error}"))
            }
        }
    }
}

fn serde_name(action: Action) -> &'static str {
    match action {
        Action::Applied => "applied",
        Action::Reverted => "reverted",
        Action::Marked => "marked",
        Action::Forgotten => "forgot",
    }
}

impl MigrateReport {
    /// Writes the result of the shared schema if it was the only one.
    fn fmt_shared(&self, f: &mut fmt::Formatter<'_>, shared: &TenantMigration) -> fmt::Result {
        let count = shared.files.len();
        let files = if count == 1 { "file" } else { "files" };
        let outcome = shared.outcome.as_str().replace('_', " ");
        write!(f, "shared schema: {outcome}, {count} {files} in {:.1?}", self.duration)?;
        shared.error().map_or(Ok(()), |error| write!(f, "\n{error}"))?;
        if self.lint.is_empty() { Ok(()) } else { write!(f, "\n\n{}", self.lint) }
    }
}

impl fmt::Display for MigrateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(shared), 0) = (&self.shared, self.total) {
            return self.fmt_shared(f, shared);
        }
        self.write_counts(f)?;
        for tenant in &self.tenants {
            write_rows(
                f,
                tenant.tenant_id.as_deref(),
                tenant.row_tenants,
                tenant.schema.as_deref(),
            )?;
        }
        let table = self.unfinished();
        if !table.is_empty() {
            write!(f, "\n\n{table}")?;
        }
        if self.lint.is_empty() { Ok(()) } else { write!(f, "\n\n{}", self.lint) }
    }
}

impl MigrateReport {
    fn write_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, what, nothing) = match self.aim {
            Aim::Migrate => (self.migrated, "migrated", "up to date"),
            Aim::Revert => (self.reverted, "reverted", "with nothing to revert"),
            Aim::Mark => (self.marked, "marked as applied", "with nothing to mark"),
            Aim::Forget => {
                (self.forgotten, "with records or failures forgotten", "with nothing to forget")
            }
        };
        write!(f, "{count} of {} {} {what}", self.total, tenants(self.total))?;
        for (count, what) in [
            (self.up_to_date, nothing),
            (self.failed, "failed"),
            (self.skipped, "skipped"),
            (self.not_started, "not started"),
            (self.doubtful, "doubtful"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        write!(f, " in {:.1?} ({}", self.duration, self.end.as_str())?;
        match self.failed {
            0 => write!(f, ")"),
            failed => write!(f, ", {failed} failed)"),
        }
    }

    /// Returns a table of the schemas that failed or were skipped.
    fn unfinished(&self) -> Table<4> {
        let mut table = Table::new(["tenant", "outcome", "files done", "why"]);
        for tenant in self.shared.iter().chain(&self.tenants) {
            if tenant.error().is_some() || matches!(tenant.outcome, Outcome::Skipped) {
                table.row([
                    name_of(tenant.tenant_id.as_deref()).to_owned(),
                    tenant.outcome.as_str().to_owned(),
                    tenant.files.len().to_string(),
                    tenant.error().map(ToString::to_string).unwrap_or_default(),
                ]);
            }
        }
        table
    }
}

/// Writes a line on the tables of tenants that are isolated by row.
fn write_rows(
    f: &mut fmt::Formatter<'_>,
    name: Option<&str>,
    row_tenants: Option<usize>,
    schema: Option<&str>,
) -> fmt::Result {
    let Some(count) = row_tenants else { return Ok(()) };
    let (name, schema) = (name.unwrap_or(ROWS), schema.unwrap_or("-"));
    write!(f, "\n{name}: schema {schema}, for {count} {} isolated by row", tenants(count))
}

fn tenants(count: usize) -> &'static str {
    if count == 1 { "tenant" } else { "tenants" }
}

/// What a run would do: every tenant's schema compared with the files. Nothing was written.
///
/// `Display` writes a table.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MigrationPlan {
    /// Tenants in total; a tenant that was named twice counts once, as do all tenants that are isolated by row.
    pub total: usize,
    /// Tenants without pending work.
    pub up_to_date: usize,
    /// Tenants with pending files and without problems.
    pub pending: usize,
    /// Tenants that cannot be migrated in their current state.
    pub blocked: usize,
    /// Schemas that may not belong to tenants: they hold tables but no migration records, while other tenants have
    /// records. A run skips them.
    pub doubtful: usize,
    /// How long the comparison took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// The shared schema, if it has migrations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<SchemaStatus>,
    /// Every tenant. The tables of those that are isolated by row are the last one, `(rows)`.
    pub tenants: Vec<SchemaStatus>,
    /// Findings in the files: errors block a run.
    #[serde(skip_serializing_if = "LintReport::is_empty")]
    pub lint: LintReport,
    /// Down files without a migration. They are ignored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stray: Vec<Arc<str>>,
}

/// How a schema compares with the files.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SchemaStatus {
    /// The tenant, as it was named; `None` for the shared schema.
    pub tenant_id: Option<Arc<str>>,
    /// Its schema, if it is known.
    #[serde(rename = "schemaName")]
    pub schema: Option<Arc<str>>,
    /// The server that it lives on, if the manager has [several](crate::ManagerBuilder::server) and it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// The database that it lives in, if that is not the one in the URL of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
    /// If these are the tables of tenants that are isolated by row: how many of those are in this call. `tenant_id` is
    /// then `(rows)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_tenants: Option<usize>,
    /// Its most important state.
    pub state: SchemaState,
    /// Migrations that were applied.
    pub applied: usize,
    /// Files that were not applied, in order.
    pub pending: Vec<PendingFile>,
    /// What prevents it from being migrated, the worst first.
    pub problems: Vec<Problem>,
    /// Files outside a transaction that were started and have not completed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub begun: Vec<BegunFile>,
    /// Indexes, partitions and constraints that are invalid or incomplete. A run recreates those that belong to a
    /// file that it continues, and ignores the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<Invalid>,
    /// Why it could not be read, or why nothing is run in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// A file outside a transaction that was started and has not completed, or is running at the moment.
///
/// `Display` writes a remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BegunFile {
    /// Its version.
    pub version: i64,
    /// Its file, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Arc<str>>,
    /// Which statement first failed and why, and what it left half made; or the progress. Also states if
    /// [`forget_dirty`](super::TenantMigrator::forget_dirty) makes the file start over.
    pub remark: String,
    /// Whether the next run continues it; otherwise the schema must be repaired by hand.
    pub goes_on: bool,
}

impl fmt::Display for BegunFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, file, remark, .. } = self;
        if let Some(file) = file {
            write!(f, "{file}: ")?;
        }
        match self.goes_on {
            true => write!(
                f,
                "version {version} was started and has not completed ({remark}): the next run continues it"
            ),
            false => write!(f, "{} ({remark})", Problem::Dirty { version: *version }),
        }
    }
}

/// A file that was not applied yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PendingFile {
    /// Its version.
    pub version: i64,
    /// Its name.
    pub file: Arc<str>,
}

/// A one-word comparison of a schema with the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SchemaState {
    /// Every file was applied.
    UpToDate,
    /// Some files were not applied yet.
    Pending,
    /// A file was not applied, although a later one was.
    OutOfOrder,
    /// An applied migration has no file.
    MissingFile,
    /// A file is not the one that was applied.
    ChecksumMismatch,
    /// A migration outside a transaction was started and has not completed, or is running at the moment.
    Dirty,
    /// The schema does not exist, its tenant is unknown, or it cannot be read.
    Unreachable,
    /// It holds tables but no migration records: nothing is run in it before a baseline.
    NeedsBaseline,
    /// It has a tenant's name and holds tables but no migration records, while other tenants have records: it may not
    /// belong to a tenant.
    Doubtful,
}

impl SchemaState {
    /// Returns the snake-case name that JSON uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "up_to_date",
            Self::Pending => "pending",
            Self::OutOfOrder => "out_of_order",
            Self::MissingFile => "missing_file",
            Self::ChecksumMismatch => "checksum_mismatch",
            Self::Dirty => "dirty",
            Self::Unreachable => "unreachable",
            Self::NeedsBaseline => "needs_baseline",
            Self::Doubtful => "doubtful",
        }
    }

    /// Returns the state of a schema that cannot be compared with the files.
    pub(super) fn without(error: &Failure) -> Self {
        match error.reason {
            FailureReason::NeedsBaseline => Self::NeedsBaseline,
            FailureReason::Doubtful => Self::Doubtful,
            _ => Self::Unreachable,
        }
    }

    /// Returns the most important state of a schema.
    pub(super) fn of(problems: &[Problem], pending: &[PendingFile]) -> Self {
        match problems.first() {
            Some(Problem::Dirty { .. }) => Self::Dirty,
            Some(Problem::ChecksumMismatch { .. }) => Self::ChecksumMismatch,
            Some(Problem::MissingFile { .. }) => Self::MissingFile,
            Some(Problem::OutOfOrder { .. } | Problem::Irreversible { .. }) => Self::OutOfOrder,
            None if pending.is_empty() => Self::UpToDate,
            None => Self::Pending,
        }
    }
}

impl MigrationPlan {
    pub(super) fn new(
        shared: Option<SchemaStatus>,
        tenants: Vec<SchemaStatus>,
        duration: Duration,
    ) -> Self {
        let count = |state| tenants.iter().filter(|tenant| tenant.state == state).count();
        let (up_to_date, pending) = (count(SchemaState::UpToDate), count(SchemaState::Pending));
        let total = tenants.len();
        let doubtful = count(SchemaState::Doubtful);
        let blocked = total - up_to_date - pending - doubtful;
        let lint = LintReport::default();
        let stray = Vec::new();
        Self {
            total,
            up_to_date,
            pending,
            blocked,
            doubtful,
            duration,
            shared,
            tenants,
            lint,
            stray,
        }
    }

    pub(super) fn with_stray(self, stray: Vec<Arc<str>>) -> Self {
        Self { stray, ..self }
    }

    pub(super) fn with_lint(self, lint: LintReport) -> Self {
        Self { lint, ..self }
    }

    /// Returns `true` if there is nothing to do and nothing blocks a run. Doubtful schemas are not counted.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        let mut all = self.shared.iter().chain(&self.tenants);
        let is_settled = |state| matches!(state, SchemaState::UpToDate | SchemaState::Doubtful);
        self.lint.is_success() && all.all(|schema| is_settled(schema.state))
    }
}

impl SchemaStatus {
    /// Returns the cells of a plan's table.
    fn row(&self) -> [String; 6] {
        let pending = match self.pending.as_slice() {
            [] => "-".to_owned(),
            [only] => only.file.to_string(),
            [first, rest @ ..] => format!("{} and {} more", first.file, rest.len()),
        };
        [
            name_of(self.tenant_id.as_deref()).to_owned(),
            self.schema.as_deref().unwrap_or("-").to_owned(),
            self.state.as_str().to_owned(),
            self.applied.to_string(),
            pending,
            self.remarks(),
        ]
    }

    fn remarks(&self) -> String {
        let begun = |problem: &&Problem| {
            let mut begun = self.begun.iter();
            matches!(problem, Problem::Dirty { version } if begun.any(|file| file.version == *version))
        };
        let problems = self.problems.iter().filter(|problem| !begun(problem));
        let remarks = (self.begun.iter().map(ToString::to_string))
            .chain(problems.map(ToString::to_string))
            .chain(self.invalid.iter().map(ToString::to_string))
            .chain(self.error.iter().map(ToString::to_string));
        remarks.collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for MigrationPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["tenant", "schema", "state", "applied", "pending", "remarks"]);
        for status in self.shared.iter().chain(&self.tenants) {
            table.row(status.row());
        }
        writeln!(f, "{table}")?;
        write!(
            f,
            "\n{} {}: {} up to date, {} pending, {} blocked",
            self.total,
            tenants(self.total),
            self.up_to_date,
            self.pending,
            self.blocked
        )?;
        if self.doubtful > 0 {
            write!(f, ", {} doubtful", self.doubtful)?;
        }
        for tenant in &self.tenants {
            write_rows(
                f,
                tenant.tenant_id.as_deref(),
                tenant.row_tenants,
                tenant.schema.as_deref(),
            )?;
        }
        for file in &self.stray {
            write!(f, "\n{file} is ignored: it reverts a migration that does not exist")?;
        }
        if self.lint.is_empty() { Ok(()) } else { write!(f, "\n\n{}", self.lint) }
    }
}
