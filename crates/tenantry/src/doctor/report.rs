//! The doctor's results.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{CheckStatus, Examined, Finding, text::printable};
use crate::{
    event::{serialize_millis, serialize_optional_millis},
    timestamp,
};

/// Result of all checks.
///
/// `Display` writes one line per check, one for all checks that could not run for the same reason, the
/// recommendations, a summary of the health, and every finding with its reason, its remedy and its SQL.
///
/// ```json
/// {
///   "success": true,
///   "checks": [
///     { "name": "database", "title": "Database connection", "status": "ok", "message": "PostgreSQL 17.2",
///       "latencyMs": 0.4, "durationMs": 3.1 }
///   ],
///   "recommendations": [],
///   "health": {
///     "healthy": true, "totalPools": 5, "degradedPools": 0, "unhealthyPools": 0, "sharedDbLatencyMs": 0.5
///   },
///   "versions": { "tenantry": "0.1.0", "postgresql": "17.2" },
///   "timestamp": "2026-01-15T10:30:00.000Z",
///   "durationMs": 120.5
/// }
/// ```
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it says what is wrong"]
pub struct DoctorReport {
    /// Whether no check has the status [`Error`](CheckStatus::Error).
    pub success: bool,
    /// Every selected check, in a fixed order.
    pub checks: Vec<CheckReport>,
    /// What to do, the most important first.
    pub recommendations: Vec<String>,
    /// The health of the manager.
    pub health: DoctorHealth,
    /// What was examined.
    pub versions: Versions,
    /// When it was started.
    #[serde(serialize_with = "timestamp::serialize")]
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub timestamp: SystemTime,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// Result of one check.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CheckReport {
    /// The stable id of the check.
    pub name: String,
    /// The human-readable name.
    pub title: String,
    /// The status.
    pub status: CheckStatus,
    /// A short summary of the result.
    pub message: String,
    /// How long the database took to respond, if this was measured.
    #[serde(
        rename = "latencyMs",
        serialize_with = "serialize_optional_millis",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub latency: Option<Duration>,
    /// The findings, the worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What the check could not see, and what it needs for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
    /// How long the check took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// The result in the text report, if it is not the message.
    #[serde(skip)]
    pub(super) text: Option<String>,
    /// The start of the line in the text report, if it is not the title.
    #[serde(skip)]
    pub(super) heading: Option<String>,
    /// Notes of `unseen` about a server that is away, with its name.
    #[serde(skip)]
    pub(super) away: BTreeMap<String, String>,
    #[serde(skip)]
    cause: Option<&'static str>,
}

/// The health of the manager: the summary of a [`HealthReport`](crate::HealthReport).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DoctorHealth {
    /// Whether requests can be served.
    pub healthy: bool,
    /// Tenants that have a tenant pool in this process.
    pub total_pools: usize,
    /// Degraded pools among these.
    pub degraded_pools: usize,
    /// Unhealthy pools among these.
    pub unhealthy_pools: usize,
    /// How long the database took to respond; `null` if it did not.
    #[serde(rename = "sharedDbLatencyMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub shared_db_latency: Option<Duration>,
}

/// What was examined, and with which version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Versions {
    /// The version of this crate.
    pub tenantry: &'static str,
    /// The version of the server; `null` if it could not be reached.
    pub postgresql: Option<String>,
}

impl CheckReport {
    pub(super) fn new(name: &str, title: &str, examined: Examined, duration: Duration) -> Self {
        let status = examined.status();
        let Examined { message, text, heading, latency, findings, unseen, away, cause, .. } =
            examined;
        let (message, text) = (printable(message), text.map(printable));
        let heading = heading.map(printable);
        let unseen = unseen.into_iter().map(printable).collect();
        let away = away.into_iter().map(|(note, server)| (printable(note), server)).collect();
        let mut findings: Vec<_> = findings.into_iter().map(Finding::printable).collect();
        findings.sort_by_key(|finding| Reverse(finding.severity));
        let (name, title) = (name.to_owned(), title.to_owned());
        Self {
            name,
            title,
            status,
            message,
            latency,
            findings,
            unseen,
            duration,
            text,
            heading,
            away,
            cause,
        }
    }

    /// Returns why the check could not run, if that is a cause that keeps several checks from running, such as
    /// `no connection to the database`. The text report names such a cause once, with the checks.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause
    }
}

impl DoctorReport {
    pub(super) fn new(
        checks: Vec<CheckReport>,
        health: DoctorHealth,
        postgresql: Option<String>,
        timestamp: SystemTime,
        duration: Duration,
    ) -> Self {
        Self {
            success: checks.iter().all(|check| check.status != CheckStatus::Error),
            recommendations: recommendations(&checks),
            checks,
            health,
            versions: Versions { tenantry: env!("CARGO_PKG_VERSION"), postgresql },
            timestamp,
            duration,
        }
    }

    /// Returns the result of the check with this name.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&CheckReport> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// Returns every finding together with its check, in the order of the checks.
    pub fn findings(&self) -> impl Iterator<Item = (&CheckReport, &Finding)> {
        self.checks.iter().flat_map(|check| check.findings.iter().map(move |of| (check, of)))
    }
}

/// Collects recommendations without duplicates, the most important first.
fn recommendations(checks: &[CheckReport]) -> Vec<String> {
    let mut findings: Vec<_> = checks.iter().flat_map(|check| &check.findings).collect();
    // A server that is away can be the cause of anything else.
    findings.sort_by_key(|finding| (Reverse(finding.severity), finding.away.is_none()));
    let mut told = Vec::<String>::new();
    for Finding { how, .. } in findings {
        if !how.is_empty() && !told.contains(how) {
            told.push(how.clone());
        }
    }
    told
}
