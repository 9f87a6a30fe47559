//! Results of seeding.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use serde::{Serialize, Serializer};

use crate::{
    error::{Error, ErrorKind},
    event::serialize_millis,
    incomplete::Incomplete,
    table::Table,
};

/// Result of seeding, for every tenant.
///
/// `Display` writes a summary, with a table of those that failed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it says which tenants were not seeded; `into_result` makes them an error"]
pub struct SeedReport {
    /// The name of the seed.
    pub seed: Arc<str>,
    /// Tenants in total; a tenant that was named twice counts once.
    pub total: usize,
    /// Tenants that were seeded.
    pub seeded: usize,
    /// Tenants that already had the seed.
    pub already: usize,
    /// Tenants that failed.
    pub failed: usize,
    /// Tenants that were not started.
    pub not_started: usize,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// Every tenant, in the order of the catalog or of their names in the call.
    pub tenants: Vec<TenantSeed>,
}

/// Result of seeding one tenant, or the shared schema.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantSeed {
    /// The tenant, as it was named; `None` for the shared schema.
    pub tenant_id: Option<Arc<str>>,
    /// The server that it lives on, if the manager has [several](crate::ManagerBuilder::server) and it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// The database that it lives in, if that is not the one in the URL of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: SeedOutcome,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// Outcome of seeding a schema.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SeedOutcome {
    /// It was seeded.
    Seeded,
    /// It already had the seed.
    Already,
    /// It failed.
    Failed {
        /// The reason. Its text and JSON contain all causes, including messages of the database.
        #[serde(serialize_with = "with_causes")]
        #[cfg_attr(feature = "schemars", schemars(with = "String"))]
        error: Arc<Error>,
    },
    /// It was not started.
    NotStarted,
}

impl SeedOutcome {
    /// Returns the snake-case name that JSON uses.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Seeded => "seeded",
            Self::Already => "already",
            Self::Failed { .. } => "failed",
            Self::NotStarted => "not_started",
        }
    }
}

impl SeedReport {
    pub(super) fn new(seed: Arc<str>, tenants: Vec<TenantSeed>, duration: Duration) -> Self {
        let count = |outcome: &str| {
            tenants.iter().filter(|tenant| tenant.outcome.as_str() == outcome).count()
        };
        Self {
            seed,
            total: tenants.len(),
            seeded: count("seeded"),
            already: count("already"),
            failed: count("failed"),
            not_started: count("not_started"),
            duration,
            tenants,
        }
    }

    /// Returns `true` if every tenant has the seed.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.seeded + self.already == self.total
    }

    /// Returns the report, or an error that contains it if a tenant does not have the seed.
    ///
    /// # Errors
    ///
    /// [`Incomplete`] with the report, which becomes an [`Error`] of [`ErrorKind::Seed`].
    pub fn into_result(self) -> Result<Self, Incomplete<Self>> {
        if self.is_success() {
            return Ok(self);
        }
        let first = self.tenants.iter().find_map(|tenant| match &tenant.outcome {
            SeedOutcome::Failed { error } => {
                Some((name_of(tenant).to_owned(), Causes(error).to_string()))
            }
            _ => None,
        });
        Err(Incomplete::new(self, first))
    }
}

impl From<Incomplete<SeedReport>> for Error {
    fn from(incomplete: Incomplete<SeedReport>) -> Self {
        Self::new(ErrorKind::Seed, "seeding the tenants").with_source(incomplete)
    }
}

fn name_of(tenant: &TenantSeed) -> &str {
    tenant.tenant_id.as_deref().unwrap_or("(shared)")
}

impl fmt::Display for SeedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of {} seeded", self.seed, self.seeded, self.total)?;
        for (count, what) in [
            (self.already, "had it already"),
            (self.failed, "failed"),
            (self.not_started, "not started"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        write!(f, " in {:.1?}", self.duration)?;
        let mut table = Table::new(["tenant", "outcome", "why"]);
        for tenant in &self.tenants {
            if let SeedOutcome::Failed { error } = &tenant.outcome {
                table.row([
                    name_of(tenant).to_owned(),
                    "failed".to_owned(),
                    Causes(error).to_string(),
                ]);
            }
        }
        if table.is_empty() { Ok(()) } else { write!(f, "\n\n{table}") }
    }
}

/// An error with its chain of causes.
struct Causes<'a>(&'a Error);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut cause = StdError::source(self.0);
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors repeat the message of their cause.
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            (said, cause) = (text, error.source());
        }
        Ok(())
    }
}

fn with_causes<S: Serializer>(error: &Arc<Error>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Causes(error))
}
