use std::{fmt, sync::Arc, time::Duration};

use serde::{Serialize, Serializer};

use crate::{error::Error, event::serialize_millis};

/// Result of a warm-up, with every tenant.
///
/// `total` is the sum of the other four counts.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it says which tenants are not warm"]
pub struct WarmUpReport {
    /// Number of distinct tenants.
    pub total: usize,
    /// Number of tenants that got a connection.
    pub succeeded: usize,
    /// Number of tenants that could not be warmed up.
    pub failed: usize,
    /// Number of tenants that already had a connection.
    pub already_warm: usize,
    /// Number of tenants for which the budget has no connection left. Warming up one of them would
    /// have taken the connection of another.
    pub over_budget: usize,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// Every tenant, in the given order.
    pub details: Vec<TenantWarmUp>,
}

/// Result of warming up one tenant.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantWarmUp {
    /// The tenant id as given, which may be invalid.
    pub tenant_id: Arc<str>,
    /// The result.
    #[serde(flatten)]
    pub status: WarmUpStatus,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// Whether a tenant is now warm.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum WarmUpStatus {
    /// It got a connection.
    Warmed,
    /// It already had one.
    AlreadyWarm,
    /// The budget has no connection left for it. The tenant exists, and its first request takes
    /// over the connection of another.
    OverBudget,
    /// It could not be warmed up.
    Failed {
        /// The error.
        #[serde(serialize_with = "in_words")]
        #[cfg_attr(feature = "schemars", schemars(with = "String"))]
        error: Arc<Error>,
    },
}

impl WarmUpStatus {
    /// Returns the status in snake case, as used in events and JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Warmed => "warmed",
            Self::AlreadyWarm => "already_warm",
            Self::OverBudget => "over_budget",
            Self::Failed { .. } => "failed",
        }
    }
}

impl fmt::Display for WarmUpStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { error } => write!(f, "failed: {error}"),
            _ => f.write_str(self.as_str()),
        }
    }
}

impl WarmUpReport {
    pub(super) fn new(details: Vec<TenantWarmUp>, duration: Duration) -> Self {
        let count =
            |status: &str| details.iter().filter(|detail| detail.status.as_str() == status).count();
        Self {
            total: details.len(),
            succeeded: count("warmed"),
            failed: count("failed"),
            already_warm: count("already_warm"),
            over_budget: count("over_budget"),
            duration,
            details,
        }
    }
}

/// Serializes the error's own message, which contains no text from the database.
fn in_words<S: Serializer>(error: &Arc<Error>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}
