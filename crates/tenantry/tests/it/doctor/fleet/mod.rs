//! What concerns tenants: each planted defect is found and named, and their neighbours give no alarm.

mod homes;
mod hostile;
mod limits;
mod planted;
mod privileges;
mod sound;

use tenantry::doctor::{DoctorReport, Finding};

/// The checks of tenants' schemas and data.
const CHECKS: &[&str] = &[
    "databases",
    "sharedContainers",
    "orphans",
    "tenantsOfState",
    "limits",
    "migrationRecords",
    "driftSummary",
    "foreignObjects",
    "extensionsInTenants",
    "tenantPrivileges",
    "rowSecurity",
    "sequences",
    "invalidIndexes",
    "duplicateIndexes",
    "primaryKeys",
    "unloggedTables",
    "bloat",
    "largestTenants",
    "eventTriggers",
];

/// What was found, with the tenants that are named, as lines such as `sequences warning: what [acme: detail]`.
fn lines(report: &DoctorReport) -> Vec<String> {
    let line = |check: &str, finding: &Finding| {
        let tenants = finding.tenants.as_ref().map(|of| {
            let named = of.worst.iter().map(|of| format!("{}: {}", of.tenant_id, of.detail));
            format!(" [{}]", named.collect::<Vec<_>>().join("; "))
        });
        format!("{check} {}: {}{}", finding.severity, finding.what, tenants.unwrap_or_default())
    };
    report.findings().map(|(check, finding)| line(&check.name, finding)).collect()
}

/// All SQL that the report shows.
fn statements(report: &DoctorReport) -> Vec<String> {
    report.findings().flat_map(|(_, finding)| finding.sql.clone()).collect()
}
