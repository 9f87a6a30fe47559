use std::time::Duration;

use super::scheduler::Time;
use crate::{error::OptionsError, event::BreakerState};

/// When to suspend connects, and when to probe the server.
///
/// Without a circuit breaker, every request during an outage waits for a connection that cannot be
/// opened, and a recovering server is hit by all of them at once.
///
/// ```text
///           several connects in a row failed
///   closed ────────────────────────────────▶ open ◀──────────┐
///     ▲                                        │ probe_after │ the probe failed
///     └───── a connect succeeded ────────── half open ───────┘
/// ```
///
/// An answered statement also counts as a success, so a server that is out of slots for *more*
/// connections does not trip the breaker while it serves the existing ones.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerOptions {
    /// Number of consecutive failed connects, each with all of its retries, before the breaker
    /// trips. Default: 5.
    ///
    /// `u32::MAX` disables it.
    pub failures: u32,
    /// Delay until the server is first probed. Default: 100 ms; doubled after each failed probe.
    pub probe_after: Duration,
    /// Maximum time between two probes. Default: 500 ms.
    ///
    /// This is also about how long a recovered server can go unnoticed.
    pub probe_at_least_every: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            failures: 5,
            probe_after: Duration::from_millis(100),
            probe_at_least_every: Duration::from_millis(500),
        }
    }
}

impl BreakerOptions {
    /// Sets [`failures`](Self::failures).
    #[must_use]
    pub fn failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// Sets [`probe_after`](Self::probe_after).
    #[must_use]
    pub fn probe_after(mut self, pause: Duration) -> Self {
        self.probe_after = pause;
        self
    }

    /// Sets [`probe_at_least_every`](Self::probe_at_least_every).
    #[must_use]
    pub fn probe_at_least_every(mut self, pause: Duration) -> Self {
        self.probe_at_least_every = pause;
        self
    }

    pub(super) fn check(&self) -> Result<(), OptionsError> {
        if self.failures == 0 {
            return Err(OptionsError::new("breaker.failures", "be at least 1"));
        }
        if self.probe_after.is_zero() {
            return Err(OptionsError::new("breaker.probe_after", "be longer than zero"));
        }
        if self.probe_at_least_every < self.probe_after {
            let must = "not be shorter than probe_after";
            return Err(OptionsError::new("breaker.probe_at_least_every", must));
        }
        Ok(())
    }
}

/// Factor by which probes are rarer after a permanent failure, such as a wrong password.
const SELDOM: u32 = 10;

/// Decides whether connections are opened.
#[derive(Debug)]
pub(super) struct Breaker {
    options: BreakerOptions,
    phase: Phase,
    failures: u32,
    /// Number of failed probes since it tripped.
    failed_probes: u32,
    pause: Duration,
    /// Time of the last failed connect: earlier answers prove nothing.
    failed_at: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Time },
    HalfOpen,
}

/// The reason for a connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    /// A request needs it.
    Need,
    /// It probes whether the server is up.
    Probe,
    /// Another connection is compared with it. The breaker ignores its result.
    Partner,
}

impl Breaker {
    pub(super) fn new(options: BreakerOptions) -> Self {
        let pause = options.probe_after;
        Self {
            options,
            phase: Phase::Closed,
            failures: 0,
            failed_probes: 0,
            pause,
            failed_at: None,
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen => BreakerState::HalfOpen,
        }
    }

    /// Returns the retry delay for refused requests.
    pub(super) fn retry_after(&self, now: Time) -> Duration {
        match self.phase {
            Phase::Closed => Duration::ZERO,
            Phase::Open { until } => until.saturating_sub(now).max(self.options.probe_after),
            Phase::HalfOpen => self.options.probe_after,
        }
    }

    /// Records a failed connect, and whether the failure is transient. Returns `true` if the
    /// breaker is now open.
    pub(super) fn failed(&mut self, now: Time, opener: Opener, transient: bool) -> bool {
        self.failed_at = Some(now);
        match (self.phase, opener) {
            (Phase::Closed, _) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures < self.options.failures || self.options.failures == u32::MAX {
                    return false;
                }
                self.pause = self.options.probe_after;
                self.failed_probes = 0;
            }
            (Phase::HalfOpen, Opener::Probe) => {
                self.failed_probes = self.failed_probes.saturating_add(1);
                let longest = self.options.probe_at_least_every;
                self.pause = self.pause.saturating_mul(2).min(longest);
            }
            // Connects that were under way when it tripped carry no new information.
            (Phase::Open { .. }, _) | (Phase::HalfOpen, Opener::Need | Opener::Partner) => {
                return false;
            }
        }
        if !transient {
            // The failure needs an intervention; frequent probes would only fill the server's log.
            self.pause = self.options.probe_at_least_every.saturating_mul(SELDOM);
        }
        self.phase = Phase::Open { until: now.saturating_add(self.pause) };
        true
    }

    /// Records the time of an answer from the server. Returns `true` if the breaker is now closed.
    pub(super) fn succeeded(&mut self, at: Time) -> bool {
        if self.failed_at.is_some_and(|failed| failed > at) {
            return false;
        }
        self.failures = 0;
        std::mem::replace(&mut self.phase, Phase::Closed) != Phase::Closed
    }

    /// Returns `true` if a probe is due; the breaker is then half open.
    pub(super) fn begin_probe(&mut self, now: Time) -> bool {
        let due = matches!(self.phase, Phase::Open { until } if now >= until);
        if due {
            self.phase = Phase::HalfOpen;
        }
        due
    }

    /// Records that there was no room for a probe connection. Returns the delay until the next
    /// attempt.
    pub(super) fn postpone_probe(&mut self, now: Time) -> Duration {
        self.phase = Phase::Open { until: now.saturating_add(self.pause) };
        self.pause
    }

    /// Returns the number of failed probes since it tripped.
    pub(super) fn failed_probes(&self) -> u32 {
        self.failed_probes
    }

    /// Returns the delay until the next probe.
    pub(super) fn pause(&self) -> Duration {
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn tripped() -> Breaker {
        let mut breaker = Breaker::new(BreakerOptions::default());
        for _ in 1..5 {
            assert!(!breaker.failed(MS, Opener::Need, true));
            assert_eq!(breaker.state(), BreakerState::Closed);
        }
        assert!(breaker.failed(MS, Opener::Need, true));
        breaker
    }

    #[test]
    fn trips_after_failures_in_a_row_alone() {
        let mut breaker = Breaker::new(BreakerOptions::default());
        for _ in 0..20 {
            for _ in 0..4 {
                assert!(!breaker.failed(MS, Opener::Need, true));
            }
            assert!(!breaker.succeeded(MS));
        }
        assert_eq!(tripped().state(), BreakerState::Open);
    }

    #[test]
    fn probes_less_and_less_often_until_it_succeeds() {
        let mut breaker = tripped();
        let mut now = MS;
        for pause in [100, 200, 400, 500, 500] {
            assert_eq!(breaker.retry_after(now), MS * pause);
            assert!(!breaker.begin_probe(now + MS * pause - MS));
            now += MS * pause;
            assert!(breaker.begin_probe(now));
            assert_eq!(breaker.state(), BreakerState::HalfOpen);
            assert!(!breaker.begin_probe(now), "one probe at a time");
            assert!(!breaker.failed(now, Opener::Need, true), "a straggler is no probe");
            assert!(breaker.failed(now, Opener::Probe, true));
        }
        assert_eq!(breaker.failed_probes(), 5);
        now += MS * 500;
        assert!(breaker.begin_probe(now));
        assert!(breaker.succeeded(now));
        assert!(!breaker.succeeded(now));
        assert_eq!(
            (breaker.state(), breaker.retry_after(now)),
            (BreakerState::Closed, Duration::ZERO)
        );
        // It starts over, not where it stopped.
        for _ in 0..5 {
            breaker.failed(now, Opener::Need, true);
        }
        assert_eq!(breaker.retry_after(now), MS * 100);
    }

    #[test]
    fn an_answer_from_before_the_failure_says_nothing() {
        let mut breaker = tripped();
        assert!(!breaker.succeeded(MS / 2));
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(breaker.succeeded(MS * 2));
    }

    #[test]
    fn seldom_asks_for_what_does_not_change_by_itself() {
        let mut breaker = tripped();
        assert!(breaker.begin_probe(MS * 101));
        assert!(breaker.failed(MS * 101, Opener::Probe, false));
        assert_eq!(breaker.retry_after(MS * 101), MS * 5_000);
    }

    #[test]
    fn can_be_turned_off() {
        let options = BreakerOptions { failures: u32::MAX, ..BreakerOptions::default() };
        let mut breaker = Breaker { failures: u32::MAX, ..Breaker::new(options) };
        assert!(!breaker.failed(MS, Opener::Need, true));
    }

    #[test]
    fn names_the_option_that_contradicts() {
        for (option, options) in [
            ("breaker.failures", BreakerOptions { failures: 0, ..Default::default() }),
            (
                "breaker.probe_after",
                BreakerOptions { probe_after: Duration::ZERO, ..Default::default() },
            ),
            (
                "breaker.probe_at_least_every",
                BreakerOptions { probe_at_least_every: MS, ..Default::default() },
            ),
        ] {
            assert_eq!(options.check().map_err(|error| error.option()), Err(option));
        }
    }
}
