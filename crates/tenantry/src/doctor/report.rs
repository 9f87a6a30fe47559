//! The doctor's results.

use std::{
    cmp::Reverse,
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
/// As text it is a line for each check, the recommendations, a summary of the health, and every finding with its
/// reason, its remedy and its SQL.
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
    /// Every check that was selected, in a fixed order.
    pub checks: Vec<CheckReport>,
    /// What to do, the most important first.
    pub recommendations: Vec<String>,
    /// How the manager fares.
    pub health: DoctorHealth,
    /// What was examined.
    pub versions: Versions,
    /// When it was begun.
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
    /// The name for people.
    pub title: String,
    /// How it has ended.
    pub status: CheckStatus,
    /// The result in short.
    pub message: String,
    /// How long the database took to answer, where that was measured.
    #[serde(
        rename = "latencyMs",
        serialize_with = "serialize_optional_millis",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub latency: Option<Duration>,
    /// What was found, the worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What the check could not see, and what it would need for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
    /// How long the check took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// The result as a report for people has it, where that is not the message.
    #[serde(skip)]
    pub(super) text: Option<String>,
    /// What the line for people begins with, where that is not the title.
    #[serde(skip)]
    pub(super) heading: Option<String>,
}

/// How the manager fares: the summary of a [`HealthReport`](crate::HealthReport).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DoctorHealth {
    /// Whether requests can be served.
    pub healthy: bool,
    /// Tenants that have a tenant pool in this process.
    pub total_pools: usize,
    /// Those of them that are degraded.
    pub degraded_pools: usize,
    /// Those of them that are unhealthy.
    pub unhealthy_pools: usize,
    /// How long the database took to answer; `null` when it did not.
    #[serde(rename = "sharedDbLatencyMs", serialize_with = "serialize_optional_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub shared_db_latency: Option<Duration>,
}

/// What was examined, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Versions {
    /// The version of this crate.
    pub tenantry: &'static str,
    /// The version of the server; `null` when it could not be reached.
    pub postgresql: Option<String>,
}

impl CheckReport {
    pub(super) fn new(name: &str, title: &str, examined: Examined, duration: Duration) -> Self {
        let status = examined.status();
        let Examined { message, text, heading, latency, findings, unseen, .. } = examined;
        let (message, text) = (printable(message), text.map(printable));
        let heading = heading.map(printable);
        let unseen = unseen.into_iter().map(printable).collect();
        let mut findings: Vec<_> = findings.into_iter().map(Finding::printable).collect();
        findings.sort_by_key(|finding| Reverse(finding.severity));
        let (name, title) = (name.to_owned(), title.to_owned());
        Self { name, title, status, message, latency, findings, unseen, duration, text, heading }
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

    /// Returns every finding with the check that it is from, in the order of the checks.
    pub fn findings(&self) -> impl Iterator<Item = (&CheckReport, &Finding)> {
        self.checks.iter().flat_map(|check| check.findings.iter().map(move |of| (check, of)))
    }
}

/// Collects what to do, each once, the most important first.
fn recommendations(checks: &[CheckReport]) -> Vec<String> {
    let mut findings: Vec<_> = checks.iter().flat_map(|check| &check.findings).collect();
    findings.sort_by_key(|finding| Reverse(finding.severity));
    let mut told = Vec::<String>::new();
    for Finding { how, .. } in findings {
        if !how.is_empty() && !told.contains(how) {
            told.push(how.clone());
        }
    }
    told
}
