//! The result of running a statement over many tenants.

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{event::serialize_millis, incomplete::Incomplete, table::Table};

/// The result of a statement over many tenants, with every tenant.
///
/// `Display` is a summary with a table of the failed tenants.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it says on which tenants the statement failed; `into_result` makes them an error"]
pub struct FanOutReport {
    /// How the run ended.
    pub end: FanOutEnd,
    /// Number of distinct tenants, plus the shared schema if included.
    pub total: usize,
    /// Number of tenants on which the statement succeeded.
    pub done: usize,
    /// Number of tenants on which it failed.
    pub failed: usize,
    /// Number of suspended tenants, on which it was not run.
    pub skipped: usize,
    /// Number of tenants on which it was cancelled because the consumer had ended.
    pub interrupted: usize,
    /// Number of tenants that were not started.
    pub not_started: usize,
    /// Number of delivered rows.
    pub rows: u64,
    /// Duration of the run.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// Every tenant, in the order of the catalog, or in the given order; the shared schema comes
    /// first.
    pub tenants: Vec<TenantFanOut>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FanOutEnd {
    /// Every tenant was started.
    Completed,
    /// The limit of [`max_failures`](super::FanOutOptions::max_failures) was reached.
    MaxFailures,
    /// The future of [`stop_when`](super::FanOutOptions::stop_when) completed.
    Stopped,
    /// The consumer of the rows ended.
    ConsumerEnded,
}

/// The result for one tenant, or for the shared schema.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantFanOut {
    /// The tenant id as given; `None` for the shared schema.
    pub tenant_id: Option<Arc<str>>,
    /// The server that it lives on, if the manager has [several](crate::ManagerBuilder::server) and it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// The database that it lives in, if that is not the one in the URL of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: FanOutOutcome,
    /// Duration, including the wait for a connection.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// The outcome of the statement on one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FanOutOutcome {
    /// It succeeded.
    Done {
        /// Number of returned rows, all of them delivered.
        rows: u64,
        /// Number of rows that it changed or returned, as counted by the server.
        affected: u64,
    },
    /// It failed, or no connection was available.
    Failed {
        /// The failure.
        error: FanOutFailure,
        /// Number of rows delivered before.
        rows: u64,
    },
    /// The tenant is suspended.
    Skipped,
    /// The consumer ended while the statement was running. It is cancelled and rolled back; outside
    /// a transaction, it may have completed.
    Interrupted {
        /// Number of rows delivered before.
        rows: u64,
    },
    /// It was not started.
    NotStarted,
}

/// The database's error for a statement on a tenant, verbatim: for operators, not for clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FanOutFailure {
    /// The SQLSTATE, if the server returned the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// The message.
    pub message: String,
    /// The server's detail message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The server's hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl FanOutOutcome {
    /// Returns the outcome in snake case, as used in JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Skipped => "skipped",
            Self::Interrupted { .. } => "interrupted",
            Self::NotStarted => "not_started",
        }
    }

    /// Returns the number of delivered rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        match self {
            Self::Done { rows, .. } | Self::Failed { rows, .. } | Self::Interrupted { rows } => {
                *rows
            }
            Self::Skipped | Self::NotStarted => 0,
        }
    }
}

impl FanOutReport {
    pub(super) fn new(end: FanOutEnd, tenants: Vec<TenantFanOut>, duration: Duration) -> Self {
        let count = |outcome: &str| {
            tenants.iter().filter(|tenant| tenant.outcome.as_str() == outcome).count()
        };
        Self {
            end,
            total: tenants.len(),
            done: count("done"),
            failed: count("failed"),
            skipped: count("skipped"),
            interrupted: count("interrupted"),
            not_started: count("not_started"),
            rows: tenants.iter().map(|tenant| tenant.outcome.rows()).sum(),
            duration,
            tenants,
        }
    }

    /// Returns `true` if the statement succeeded on every tenant that is not suspended.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.done + self.skipped == self.total
    }

    /// Converts the report into an error if the statement did not succeed on every tenant that is
    /// not suspended.
    ///
    /// # Errors
    ///
    /// [`Incomplete`] with the report.
    pub fn into_result(self) -> Result<Self, Incomplete<Self>> {
        if self.is_success() {
            return Ok(self);
        }
        let first = self.tenants.iter().find_map(|tenant| match &tenant.outcome {
            FanOutOutcome::Failed { error, .. } => {
                Some((name_of(tenant).to_owned(), error.to_string()))
            }
            _ => None,
        });
        Err(Incomplete::new(self, first))
    }
}

fn name_of(tenant: &TenantFanOut) -> &str {
    tenant.tenant_id.as_deref().unwrap_or("(shared)")
}

impl fmt::Display for FanOutFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(sqlstate) = &self.sqlstate {
            write!(f, " ({sqlstate})")?;
        }
        for more in [&self.detail, &self.hint].into_iter().flatten() {
            write!(f, "; {more}")?;
        }
        Ok(())
    }
}

impl fmt::Display for FanOutReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} done, {} rows", self.done, self.total, self.rows)?;
        for (count, what) in [
            (self.failed, "failed"),
            (self.skipped, "suspended"),
            (self.interrupted, "interrupted"),
            (self.not_started, "not started"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        write!(f, " in {:.1?}", self.duration)?;
        let mut table = Table::new(["tenant", "why"]);
        for tenant in &self.tenants {
            if let FanOutOutcome::Failed { error, .. } = &tenant.outcome {
                table.row([name_of(tenant).to_owned(), error.to_string()]);
            }
        }
        if table.is_empty() { Ok(()) } else { write!(f, "\n\n{table}") }
    }
}
