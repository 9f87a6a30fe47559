//! Runs the harmless statements of findings.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::time::Instant;

use super::{DoctorReport, Finding, FindingPlace, error_in_words, homes::home_at};
use crate::{
    error::Error, event::serialize_millis, fleet::Fleet, pool::Lease, sql::statement_of_finding,
    timestamp,
};

/// Result of [`Doctor::fix`](super::Doctor::fix), with every statement in it.
///
/// `Display` writes one line per statement.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it says what could not be fixed"]
pub struct FixReport {
    /// Statements that were run.
    pub done: usize,
    /// Statements that failed, or were not run because an earlier one of the same finding failed.
    pub failed: usize,
    /// Every statement.
    pub statements: Vec<FixedStatement>,
    /// When it was started.
    #[serde(serialize_with = "timestamp::serialize")]
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub timestamp: SystemTime,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// A statement of a finding.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FixedStatement {
    /// The name of the check.
    pub check: String,
    /// What it fixes.
    pub what: String,
    /// The statement.
    pub sql: String,
    /// Where it was run, if not in the manager's database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<FindingPlace>,
    /// Why it failed or was not run. It can contain messages of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

impl FixReport {
    /// Returns `true` if no statement failed.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.failed == 0
    }
}

pub(super) async fn fix(fleet: &Fleet, report: &DoctorReport) -> FixReport {
    let (began, timestamp) = (Instant::now(), SystemTime::now());
    let mut statements = Vec::new();
    let harmless = report.findings().filter(|(_, finding)| finding.harmless);
    for (check, finding) in harmless {
        statements.extend(fix_one(fleet, &check.name, finding).await);
    }
    let failed = statements.iter().filter(|statement| statement.error.is_some()).count();
    let done = statements.len() - failed;
    FixReport { done, failed, statements, timestamp, duration: began.elapsed() }
}

/// Runs the statements of one finding, up to the first that fails.
async fn fix_one(fleet: &Fleet, check: &str, finding: &Finding) -> Vec<FixedStatement> {
    let mut fixed = Vec::with_capacity(finding.sql.len());
    let mut failed = None;
    for (at, sql) in finding.sql.iter().enumerate() {
        let began = Instant::now();
        let place = finding.sql_in.get(at);
        let error = match &failed {
            Some(_) => Some("a statement before it has failed".to_owned()),
            None => run(fleet, place, sql).await.err().map(|error| error_in_words(&error)),
        };
        failed = failed.or_else(|| error.clone());
        fixed.push(FixedStatement {
            check: check.to_owned(),
            what: finding.what.clone(),
            sql: sql.clone(),
            place: place.cloned(),
            error,
            duration: began.elapsed(),
        });
    }
    fixed
}

async fn run(fleet: &Fleet, place: Option<&FindingPlace>, sql: &str) -> Result<(), Error> {
    let mut lease: Lease = match place {
        Some(place) => fleet.at(&home_at(fleet, place)?).lease().await?,
        None => fleet.lease().await?,
    };
    sqlx::raw_sql("set lock_timeout = '5s'").execute(&mut *lease).await?;
    sqlx::raw_sql(statement_of_finding(sql)).execute(&mut *lease).await?;
    Ok(())
}
