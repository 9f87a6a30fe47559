//! The result of working on many tenants.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{error::ErrorClass, event::serialize_millis, incomplete::Incomplete, table::Table};

/// The result of work over many tenants, with every tenant.
///
/// `Display` is a summary with a table of the failed tenants. It implements `Serialize` if the
/// values do.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it says for which tenants the work failed; `into_result` makes them an error"]
pub struct EachReport<T> {
    /// How the run ended.
    pub end: EachEnd,
    /// Number of distinct tenants.
    pub total: usize,
    /// Number of tenants for which the work succeeded.
    pub done: usize,
    /// Number of tenants for which it failed or panicked, or that could not be looked up.
    pub failed: usize,
    /// Number of tenants that were skipped: those that are suspended, and in a drain those that another process moved.
    pub skipped: usize,
    /// Number of tenants for which it was not started because the run had stopped.
    pub not_started: usize,
    /// Duration of the run.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// Every tenant, in the order of the catalog, or in the given order.
    pub tenants: Vec<TenantEach<T>>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EachEnd {
    /// Every tenant was started.
    Completed,
    /// The limit of [`max_failures`](super::EachOptions::max_failures) was reached.
    MaxFailures,
    /// The future of [`stop_when`](super::EachOptions::stop_when) completed.
    Stopped,
    /// The manager [began to close](crate::TenantManager::closing).
    Closing,
}

/// The result for one tenant.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantEach<T> {
    /// The tenant id as given.
    pub tenant_id: Arc<str>,
    /// The server that it lives on, if the manager has [several](crate::ManagerBuilder::server) and it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// The database that it lives in, if that is not the one in the URL of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: EachOutcome<T>,
    /// Duration, including the look-up of the tenant. For tenants queried together, an equal share.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// The outcome for one tenant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EachOutcome<T> {
    /// The work succeeded.
    Done {
        /// Its return value.
        value: T,
    },
    /// The work failed or panicked, or the tenant could not be looked up.
    Failed {
        /// The failure.
        error: EachFailure,
    },
    /// The tenant is suspended, or, when a server is drained, was moved by another process meanwhile.
    Skipped,
    /// The work was not started.
    NotStarted,
}

/// Why the work failed for a tenant: for operators, not for clients.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EachFailure {
    /// The error and its causes, on one line.
    pub message: String,
    /// The SQLSTATE, if the error comes from the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// The class of the first error of this crate or of sqlx among the causes. A transient one is
    /// worth a retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<ErrorClass>,
    /// Whether the work panicked.
    pub panicked: bool,
    #[serde(skip)]
    pub(super) error: Arc<dyn StdError + Send + Sync>,
}

impl EachFailure {
    /// Returns the original error, to be downcast or passed to
    /// [`ErrorKind::in_chain`](crate::ErrorKind::in_chain).
    ///
    /// An error that is not an [`std::error::Error`], such as an `anyhow::Error` or a `String`,
    /// appears as the type into which it converts.
    #[must_use]
    pub fn error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.error
    }
}

impl PartialEq for EachFailure {
    fn eq(&self, other: &Self) -> bool {
        let parts = |of: &Self| (of.message.clone(), of.sqlstate.clone(), of.class, of.panicked);
        parts(self) == parts(other)
    }
}

impl<T> EachOutcome<T> {
    /// Returns the outcome in snake case, as used in JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Skipped => "skipped",
            Self::NotStarted => "not_started",
        }
    }
}

impl<T> EachReport<T> {
    pub(super) fn new(end: EachEnd, tenants: Vec<TenantEach<T>>, duration: Duration) -> Self {
        let count = |outcome: &str| {
            tenants.iter().filter(|tenant| tenant.outcome.as_str() == outcome).count()
        };
        Self {
            end,
            total: tenants.len(),
            done: count("done"),
            failed: count("failed"),
            skipped: count("skipped"),
            not_started: count("not_started"),
            duration,
            tenants,
        }
    }

    /// Returns `true` if the work succeeded for every tenant that is not suspended.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.done + self.skipped == self.total
    }

    /// Converts the report into an error if the work failed or was not started for a tenant that is
    /// not suspended.
    ///
    /// # Errors
    ///
    /// [`Incomplete`] with the report.
    pub fn into_result(self) -> Result<Self, Incomplete<Self>> {
        if self.is_success() {
            return Ok(self);
        }
        let first = self.failures().next();
        let first = first.map(|(tenant, why)| (tenant.to_owned(), why.to_string()));
        Err(Incomplete::new(self, first))
    }

    /// Returns the tenants for which the work failed, with the failure.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &EachFailure)> {
        self.tenants.iter().filter_map(|tenant| match &tenant.outcome {
            EachOutcome::Failed { error } => Some((&*tenant.tenant_id, error)),
            _ => None,
        })
    }

    /// Returns the tenants for which the work succeeded, with its return value.
    pub fn values(&self) -> impl Iterator<Item = (&str, &T)> {
        self.tenants.iter().filter_map(|tenant| match &tenant.outcome {
            EachOutcome::Done { value } => Some((&*tenant.tenant_id, value)),
            _ => None,
        })
    }

    /// Returns the tenants for which the work succeeded, with its return value, by value.
    pub fn into_values(self) -> impl Iterator<Item = (Arc<str>, T)> {
        self.tenants.into_iter().filter_map(|tenant| match tenant.outcome {
            EachOutcome::Done { value } => Some((tenant.tenant_id, value)),
            _ => None,
        })
    }
}

impl fmt::Display for EachFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.sqlstate {
            Some(sqlstate) => write!(f, " ({sqlstate})"),
            None => Ok(()),
        }
    }
}

impl<T> fmt::Display for EachReport<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} done", self.done, self.total)?;
        for (count, what) in
            [(self.failed, "failed"), (self.skipped, "skipped"), (self.not_started, "not started")]
        {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        write!(f, " in {:.1?}", self.duration)?;
        let mut table = Table::new(["tenant", "why"]);
        for (tenant, error) in self.failures() {
            table.row([tenant.to_owned(), error.to_string()]);
        }
        if table.is_empty() { Ok(()) } else { write!(f, "\n\n{table}") }
    }
}
