//! The doctor finds what is wrong, says what it cannot see, and gives no false alarm.

mod fleet;
mod framework;
mod healthy;
mod planted;
mod poolers;
mod servers;
mod unreachable;

use tenantry::doctor::{CheckReport, CheckStatus, DoctorReport};

/// The checks with this status, by name.
fn with_status(report: &DoctorReport, status: CheckStatus) -> Vec<&str> {
    let checks = report.checks.iter().filter(|check| check.status == status);
    checks.map(|check| check.name.as_str()).collect()
}

/// The result of a check that was run.
fn of<'a>(report: &'a DoctorReport, name: &str) -> &'a CheckReport {
    report.check(name).unwrap_or_else(|| panic!("{name} was not run"))
}

/// What a check has found, in the order of the report.
fn whats<'a>(report: &'a DoctorReport, name: &str) -> Vec<&'a str> {
    of(report, name).findings.iter().map(|finding| finding.what.as_str()).collect()
}
