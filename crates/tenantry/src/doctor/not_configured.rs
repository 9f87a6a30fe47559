//! The report if there is no manager to examine.

use std::time::{Duration, SystemTime};

use super::{CheckReport, DoctorHealth, DoctorReport, Examined, built_in};

/// The check that reports what is known about the configuration.
const CONFIGURATION: &str = "configuration";

/// Why all other checks were skipped.
const NO_CONFIGURATION: &str = "no configuration";

impl DoctorReport {
    /// Creates the report for a configuration that no manager can be built from: the check `configuration` fails with
    /// the reason, and all others are skipped.
    pub fn not_configured(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let checks = built_in().into_iter().map(|check| {
            let examined = match check.name() {
                CONFIGURATION => Examined::error(reason.clone()),
                _ => Examined::skipped(NO_CONFIGURATION).because(NO_CONFIGURATION),
            };
            CheckReport::new(check.name(), check.title(), examined, Duration::ZERO)
        });
        let health = DoctorHealth {
            healthy: false,
            total_pools: 0,
            degraded_pools: 0,
            unhealthy_pools: 0,
            shared_db_latency: None,
        };
        Self::new(checks.collect(), health, None, SystemTime::now(), Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckStatus;

    #[test]
    fn the_configuration_is_what_has_failed() {
        let report = DoctorReport::not_configured("no database is given");
        assert!(!report.success && !report.health.healthy);
        let configuration = report.check(CONFIGURATION).unwrap();
        assert_eq!(configuration.status, CheckStatus::Error);
        assert_eq!(configuration.message, "no database is given");
        let others = report.checks.iter().filter(|check| check.name != CONFIGURATION);
        assert!(others.clone().count() > 5);
        assert!(others.into_iter().all(|check| check.status == CheckStatus::Skipped));
    }
}
