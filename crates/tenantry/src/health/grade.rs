use std::time::Duration;

use serde::Serialize;

use crate::event::BreakerState;

/// Health status, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthStatus {
    /// No problem.
    Ok,
    /// It works with limitations: requests wait, nine tenths of the connections available to
    /// tenants are in use, a ping took more than half of its timeout, or the circuit breaker is
    /// half open.
    Degraded,
    /// It does not work: there was no answer, or an error.
    Unhealthy,
}

impl HealthStatus {
    pub(crate) const ALL: [Self; 3] = [Self::Ok, Self::Degraded, Self::Unhealthy];

    /// Returns the status in snake case, as used in JSON and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// Grades the load.
    pub(super) fn of_load(in_use: usize, cap: usize, waiting: usize) -> Self {
        let nearly_full = in_use.saturating_mul(10) >= cap.saturating_mul(9);
        if waiting > 0 || nearly_full { Self::Degraded } else { Self::Ok }
    }

    /// Grades an answer by its duration.
    pub(super) fn of_answer(took: Duration, timeout: Duration) -> Self {
        if took > timeout / 2 { Self::Degraded } else { Self::Ok }
    }

    pub(super) fn of_breaker(state: BreakerState) -> Self {
        match state {
            BreakerState::Closed => Self::Ok,
            BreakerState::HalfOpen => Self::Degraded,
            BreakerState::Open => Self::Unhealthy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HealthStatus::*, *};

    #[test]
    fn grades_load() {
        for (in_use, cap, waiting, status) in [
            (0, 20, 0, Ok),
            (17, 20, 0, Ok),
            (18, 20, 0, Degraded),
            (0, 20, 1, Degraded),
            (1, 1, 0, Degraded),
            (0, 1, 0, Ok),
        ] {
            let found = HealthStatus::of_load(in_use, cap, waiting);
            assert_eq!(found, status, "{in_use} of {cap}, {waiting} waiting");
        }
    }

    #[test]
    fn grades_answers_and_the_breaker() {
        let ms = Duration::from_millis;
        assert_eq!(HealthStatus::of_answer(ms(75), ms(150)), Ok);
        assert_eq!(HealthStatus::of_answer(ms(80), ms(150)), Degraded);
        let grades = BreakerState::ALL.map(HealthStatus::of_breaker);
        assert_eq!(grades, [Ok, Unhealthy, Degraded]);
        assert!(Ok < Degraded && Degraded < Unhealthy);
    }
}
