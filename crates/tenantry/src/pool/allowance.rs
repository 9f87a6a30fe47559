//! How many connections a process may have that shares its budget with others: a number that
//! expires.

use std::time::{Duration, SystemTime};

use super::scheduler::Time;

/// What a process may have, and for how long. Afterwards it may have its floor for a while, and
/// finally only the one connection that it needs to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// The time from which the others are counted.
    pub(crate) since: Moment,
    pub(crate) most: usize,
    pub(crate) until: Duration,
    pub(crate) floor: usize,
    pub(crate) floor_until: Duration,
}

/// A point in time by two clocks: the monotonic one, which stands still while a machine is
/// suspended, and the wall clock, which can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) time: Time,
    pub(crate) wall: SystemTime,
}

/// The part of an allowance that applies now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Granted,
    Floor,
    Asking,
}

impl Allowance {
    /// An allowance for nothing but to ask.
    pub(crate) fn none(now: Moment) -> Self {
        let none = Duration::ZERO;
        Self { since: now, most: 0, until: none, floor: 0, floor_until: none }
    }

    /// Returns what applies after so much time.
    pub(crate) fn stage(&self, passed: Duration) -> Stage {
        if passed < self.until {
            Stage::Granted
        } else if passed < self.floor_until {
            Stage::Floor
        } else {
            Stage::Asking
        }
    }

    /// Returns the number of connections in a stage. None means only the one to ask on.
    pub(crate) fn connections(&self, stage: Stage) -> Option<usize> {
        match stage {
            Stage::Granted => Some(self.most),
            Stage::Floor => Some(self.floor),
            Stage::Asking => None,
        }
    }

    /// Returns when a stage ends.
    pub(crate) fn end(&self, stage: Stage) -> Time {
        match stage {
            Stage::Granted => self.since.time + self.until,
            Stage::Floor => self.since.time + self.floor_until,
            Stage::Asking => Time::MAX,
        }
    }
}

impl Moment {
    /// Returns the time until a later moment, by the clock that says more.
    pub(crate) fn until(&self, later: Self) -> Duration {
        let by_wall = later.wall.duration_since(self.wall).unwrap_or_default();
        later.time.saturating_sub(self.time).max(by_wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn the_clock_that_says_more_counts() {
        let wall = SystemTime::UNIX_EPOCH + S * 1_000;
        let start = Moment { time: S, wall };
        let later = |time, wall| start.until(Moment { time, wall });
        assert_eq!(later(S * 3, wall + S * 2), S * 2);
        // The machine was suspended, or the wall clock was set.
        assert_eq!(later(S * 3, wall + S * 60), S * 60);
        assert_eq!(later(S * 3, wall - S * 60), S * 2);
    }

    #[test]
    fn it_ends_in_two_steps() {
        let since = Moment { time: S * 5, wall: SystemTime::UNIX_EPOCH };
        let allowance = Allowance { since, most: 9, until: S * 10, floor: 2, floor_until: S * 14 };
        let at = |passed| {
            let stage = allowance.stage(passed);
            (allowance.connections(stage), allowance.end(stage))
        };
        assert_eq!(at(S * 9), (Some(9), S * 15));
        assert_eq!(at(S * 10), (Some(2), S * 19));
        assert_eq!(at(S * 14), (None, Time::MAX));
        assert_eq!(Allowance::none(since).stage(Duration::ZERO), Stage::Asking);
    }
}
