//! The result of a baseline.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{
    error::{Error, ErrorKind},
    event::serialize_millis,
    incomplete::Incomplete,
    migrate::{End, Failure, Migrations},
    table::Table,
};

/// What a baseline has recorded, or would record, for every tenant.
///
/// `Display` is a summary with a table of the tenants for which nothing is recorded.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it lists the tenants without records; `into_result` converts them to an error"]
pub struct BaselineReport {
    /// How it ended.
    pub end: End,
    /// Whether it was a dry run, which records nothing.
    pub dry_run: bool,
    /// Number of tenants, or of named tenants.
    pub total: usize,
    /// Number of tenants whose migrations are now recorded, without having been run.
    pub marked: usize,
    /// Number of tenants that already had records. These are unchanged.
    pub has_records: usize,
    /// Number of tenants without tables: a migration run creates them.
    pub empty: usize,
    /// Number of tenants for which nothing is recorded, because their schema differs from the
    /// result of the migrations.
    pub refused: usize,
    /// Number of tenants that failed.
    pub failed: usize,
    /// Number of tenants that were not started.
    pub not_started: usize,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// The versions up to which tenants are marked, with their numbers.
    pub versions: Vec<BaselineVersion>,
    /// Why a migration cannot run in a scratch schema: there is no comparison with it and later
    /// ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Failure>,
    /// Every tenant.
    pub tenants: Vec<TenantBaseline>,
}

/// Number of tenants with a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BaselineVersion {
    /// The last version that is marked.
    pub version: i64,
    /// Its file name.
    pub file: Arc<str>,
    /// Number of tenants.
    pub tenants: usize,
    /// Number of later files, which a migration run applies.
    pub behind: usize,
}

/// The baseline of one tenant.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantBaseline {
    /// The tenant id as given.
    pub tenant_id: Arc<str>,
    /// Its schema, if known.
    #[serde(rename = "schemaName")]
    pub schema: Option<Arc<str>>,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: BaselineOutcome,
}

/// The outcome of a baseline for one tenant.
///
/// `Display` is a remark.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "outcome", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum BaselineOutcome {
    /// The migrations up to this version are recorded, and were not run.
    Marked {
        /// The version.
        version: i64,
    },
    /// Migrations were already recorded.
    HasRecords,
    /// The schema is empty.
    Empty,
    /// The schema matches another version than the named one.
    OtherVersion {
        /// The matching versions; empty if the schema is empty.
        versions: Vec<i64>,
    },
    /// Several versions produce the same schema, for example because a file changes only rows. Name
    /// one of them.
    Ambiguous {
        /// The versions.
        versions: Vec<i64>,
    },
    /// No version matches this schema.
    Unlike {
        /// The closest version; `None` is the empty schema.
        nearest: Option<i64>,
        /// Number of differences from it.
        differences: usize,
        /// The first differences.
        first: Vec<String>,
    },
    /// A migration cannot run in a scratch schema, so there is no comparison with it and later
    /// ones.
    Unverified {
        /// The version that cannot run.
        version: Option<i64>,
    },
    /// It failed.
    Failed {
        /// The failure.
        error: Failure,
    },
    /// It was not started.
    NotStarted,
}

impl BaselineOutcome {
    /// Returns the outcome in snake case, as used in JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Marked { .. } => "marked",
            Self::HasRecords => "has_records",
            Self::Empty => "empty",
            Self::OtherVersion { .. } => "other_version",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Unlike { .. } => "unlike",
            Self::Unverified { .. } => "unverified",
            Self::Failed { .. } => "failed",
            Self::NotStarted => "not_started",
        }
    }

    /// Returns `true` if the tenant can be migrated now.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Marked { .. } | Self::HasRecords | Self::Empty)
    }

    fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::OtherVersion { .. }
                | Self::Ambiguous { .. }
                | Self::Unlike { .. }
                | Self::Unverified { .. }
        )
    }
}

fn joined(versions: &[i64]) -> String {
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for BaselineOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marked { version } => write!(f, "marked as applied up to version {version}"),
            Self::HasRecords => f.write_str("has migration records already"),
            Self::Empty => f.write_str("has no tables: run the migrations"),
            Self::OtherVersion { versions } if versions.is_empty() => f.write_str("has no tables"),
            Self::OtherVersion { versions } => {
                write!(f, "has the tables of version {}", joined(versions))
            }
            Self::Ambiguous { versions } => write!(
                f,
                "versions {} result in the same schema: name the right one",
                joined(versions)
            ),
            Self::Unlike { nearest, differences, first } => {
                write_unlike(f, *nearest, *differences, first)
            }
            Self::Unverified { version: Some(version) } => {
                write!(f, "could not be compared: version {version} cannot run in a scratch schema")
            }
            Self::Unverified { version: None } => f.write_str("could not be compared"),
            Self::Failed { error } => write!(f, "{error}"),
            Self::NotStarted => f.write_str("not started"),
        }
    }
}

fn write_unlike(
    f: &mut fmt::Formatter<'_>,
    nearest: Option<i64>,
    differences: usize,
    first: &[String],
) -> fmt::Result {
    f.write_str("no version results in this schema; the closest is ")?;
    match nearest {
        Some(version) => write!(f, "{version}")?,
        None => f.write_str("an empty one")?,
    }
    let count = if differences == 1 { "difference" } else { "differences" };
    write!(f, ", {differences} {count}: {}", first.join("; "))?;
    if first.len() < differences { f.write_str("; …") } else { Ok(()) }
}

impl BaselineReport {
    pub(super) fn new(
        end: End,
        dry_run: bool,
        tenants: Vec<TenantBaseline>,
        set: &Migrations,
        duration: Duration,
    ) -> Self {
        let count = |outcome: &str| {
            tenants.iter().filter(|tenant| tenant.outcome.as_str() == outcome).count()
        };
        Self {
            end,
            dry_run,
            total: tenants.len(),
            marked: count("marked"),
            has_records: count("has_records"),
            empty: count("empty"),
            refused: tenants.iter().filter(|tenant| tenant.outcome.is_refusal()).count(),
            failed: count("failed"),
            not_started: count("not_started"),
            duration,
            versions: versions(&tenants, set),
            broken: None,
            tenants,
        }
    }

    pub(super) fn with_broken(self, broken: Option<Failure>) -> Self {
        Self { broken, ..self }
    }

    /// Returns `true` if every tenant can be migrated now.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.tenants.iter().all(|tenant| tenant.outcome.is_success())
    }

    /// Converts the report into an error if a tenant cannot be migrated now.
    ///
    /// # Errors
    ///
    /// [`Incomplete`] with the report, which becomes an [`Error`] of [`ErrorKind::Migration`].
    pub fn into_result(self) -> Result<Self, Incomplete<Self>> {
        if self.is_success() {
            return Ok(self);
        }
        let first = self.tenants.iter().find(|tenant| !tenant.outcome.is_success());
        let first = first.map(|tenant| (tenant.tenant_id.to_string(), tenant.outcome.to_string()));
        Err(Incomplete::new(self, first))
    }
}

fn versions(tenants: &[TenantBaseline], set: &Migrations) -> Vec<BaselineVersion> {
    let mut counts = BTreeMap::<i64, usize>::new();
    for tenant in tenants {
        if let BaselineOutcome::Marked { version } = tenant.outcome {
            *counts.entry(version).or_default() += 1;
        }
    }
    let version = |(version, tenants): (i64, usize)| {
        let behind = set.files().iter().filter(|file| file.version() > version).count();
        let file = set.files().iter().find(|file| file.version() == version);
        let file = file.map_or_else(|| "".into(), |file| file.name().into());
        BaselineVersion { version, file, tenants, behind }
    };
    counts.into_iter().rev().map(version).collect()
}

impl From<Incomplete<BaselineReport>> for Error {
    fn from(incomplete: Incomplete<BaselineReport>) -> Self {
        Self::new(ErrorKind::Migration, "recording a baseline").with_source(incomplete)
    }
}

impl fmt::Display for BaselineReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_counts(f)?;
        for BaselineVersion { file, tenants, behind, .. } in &self.versions {
            write!(f, "\n  {tenants} up to {file}")?;
            match behind {
                0 => f.write_str(", the last")?,
                1 => f.write_str(", 1 file behind")?,
                count => write!(f, ", {count} files behind")?,
            }
        }
        let table = self.refusals();
        if !table.is_empty() {
            write!(f, "\n\n{table}")?;
        }
        match &self.broken {
            Some(failure) => write!(f, "\n\ncannot run in a scratch schema: {failure}"),
            None => Ok(()),
        }
    }
}

impl BaselineReport {
    fn write_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenants = if self.total == 1 { "tenant" } else { "tenants" };
        let marked = if self.dry_run { "would be marked" } else { "marked" };
        write!(f, "{} of {} {tenants} {marked} as applied", self.marked, self.total)?;
        for (count, what) in [
            (self.has_records, "with records before"),
            (self.empty, "without tables"),
            (self.refused, "not marked"),
            (self.failed, "failed"),
            (self.not_started, "not started"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        write!(f, " in {:.1?}", self.duration)
    }

    /// Returns a table of the tenants that cannot be migrated now.
    fn refusals(&self) -> Table<4> {
        let mut table = Table::new(["tenant", "schema", "outcome", "why"]);
        for tenant in self.tenants.iter().filter(|tenant| !tenant.outcome.is_success()) {
            table.row([
                tenant.tenant_id.to_string(),
                tenant.schema.as_deref().unwrap_or("-").to_owned(),
                tenant.outcome.as_str().to_owned(),
                tenant.outcome.to_string(),
            ]);
        }
        table
    }
}
