//! When the log of changes is short enough for the fence, and how long the tenant's writes are slowed down until it is.
//! Pure.
//!
//! One session writes again what many sessions have written. A round has what was written during the last one, so rounds
//! become shorter if the tenant writes more slowly than that. Otherwise each of its changes is delayed, by a time that
//! grows with how much longer they become.

use std::time::Duration;

/// A round that takes less is short enough for the fence.
const SHORT: Duration = Duration::from_millis(40);

/// A round with fewer changed rows is short enough, however far away the servers are.
const FEW: u64 = 500;

/// How long rounds may take on the whole that do not become shorter.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// A round that takes less, and does not become shorter although the tenant is slowed down, is as short as it gets: on
/// servers that are far away from each other. Requests wait for longer than this by default.
const SHORTEST: Duration = Duration::from_secs(3);

/// The first and the longest delay of a change.
const FIRST: Duration = Duration::from_micros(16);
const LONGEST: Duration = Duration::from_millis(1);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The target has almost everything.
    Go,
    /// Do another round.
    Again,
    /// Delay each change by this time on average, and do another round.
    SlowDown(Duration),
    GiveUp,
}

/// The rounds so far.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Duration>,
    delay: Duration,
    /// The time of rounds that did not become shorter.
    in_vain: Duration,
}

impl Pace {
    /// Begins after a copy of all rows, if it is known how long that took.
    pub(super) fn after(copy: Option<Duration>) -> Self {
        Self { last: copy, ..Self::default() }
    }

    /// Judges the next round by itself: the last one has compared all rows.
    pub(super) fn begin_again(&mut self) {
        self.last = None;
    }

    /// Decides after a round, given the rows that had changed, and the time of the round.
    pub(super) fn next(&mut self, changed: u64, took: Duration) -> Step {
        if changed <= FEW || took <= SHORT {
            return Step::Go;
        }
        let growth = self.last.replace(took).map_or(0.0, |last| took.div_duration_f64(last));
        if growth < 0.75 {
            return Step::Again;
        }
        self.in_vain += took;
        if self.delay >= LONGEST {
            return match took {
                took if took <= SHORTEST => Step::Go,
                _ if self.in_vain >= PATIENCE => Step::GiveUp,
                _ => Step::Again,
            };
        }
        let delay = self.delay.max(FIRST / 2).as_secs_f64() * 2.0 * growth.clamp(1.0, 100.0);
        self.delay = Duration::from_secs_f64(delay).clamp(FIRST, LONGEST);
        Step::SlowDown(self.delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets some writers change so many rows per second each, and the target write so many, after a copy. Returns how it
    /// ended, when, and the delay of a change.
    fn simulate(
        copied: Duration,
        writers: u32,
        each: u32,
        written: u32,
    ) -> (Step, Duration, Duration) {
        simulate_far_away(copied, (writers, each), written, Duration::from_millis(10))
    }

    /// The same, if a round takes some time whatever it has.
    fn simulate_far_away(
        copied: Duration,
        (writers, each): (u32, u32),
        written: u32,
        besides: Duration,
    ) -> (Step, Duration, Duration) {
        let (mut pace, mut now, mut delay, mut last) =
            (Pace::after(Some(copied)), Duration::ZERO, Duration::ZERO, copied);
        loop {
            let per_row = Duration::from_secs(1) / each + delay;
            let changed = f64::from(writers) * last.as_secs_f64() / per_row.as_secs_f64();
            let took = besides + Duration::from_secs_f64((changed / f64::from(written)).min(1e6));
            now += took;
            match pace.next(changed as u64, took) {
                Step::Again => {}
                Step::SlowDown(by) => delay = by,
                end => return (end, now, delay),
            }
            last = took;
        }
    }

    #[test]
    fn a_tenant_that_writes_little_is_not_slowed_down() {
        let (end, took, delay) = simulate(Duration::from_secs(60), 4, 500, 20_000);
        assert_eq!((end, delay), (Step::Go, Duration::ZERO));
        assert!(took < Duration::from_secs(10), "{took:?}");
        let idle = Pace::default().next(0, Duration::from_secs(1));
        assert_eq!(idle, Step::Go, "servers that are far away");
    }

    #[test]
    fn a_flood_is_slowed_down_until_the_target_has_caught_up() {
        for writers in [4, 6, 8] {
            let (end, took, delay) = simulate(Duration::from_secs(10), writers, 5_000, 20_000);
            assert_eq!(end, Step::Go, "{writers}");
            assert!(!delay.is_zero() && took < PATIENCE, "{writers}: {took:?} {delay:?}");
        }
    }

    #[test]
    fn rounds_that_cannot_be_shorter_are_short_enough() {
        for (writers, besides) in [(4, 1), (4, 2), (8, 1), (8, 2)] {
            let (end, took, _) = simulate_far_away(
                Duration::from_secs(60),
                (writers, 100),
                20_000,
                Duration::from_secs(besides),
            );
            assert_eq!(end, Step::Go, "{writers} {besides}");
            assert!(took < Duration::from_secs(60), "{writers} {besides}: {took:?}");
        }
    }

    #[test]
    fn a_comparison_that_takes_long_is_not_in_vain() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(10, Duration::from_secs(700)), Step::Go);
        pace.begin_again();
        assert_eq!(pace.next(13_000, Duration::from_millis(660)), Step::Again);
    }

    #[test]
    fn a_target_that_is_too_slow_is_given_up() {
        let (end, took, delay) = simulate(Duration::from_secs(1), 16, 5_000, 5_000);
        assert_eq!((end, delay), (Step::GiveUp, LONGEST));
        assert!(took >= PATIENCE, "{took:?}");
    }
}
