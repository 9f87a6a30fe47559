//! How long the writers of a tenant wait, so that the target catches up with them. Pure.
//!
//! One process on the target applies what many sessions on the source write. If they write faster, it never catches up.
//! Then the writers are held for a moment, again and again, with ever shorter pauses between.

use std::time::Duration;

/// The lag with which the gate may be closed, in bytes of the log.
const CLOSE: i64 = 256 * 1024;

/// How long the target may take on the whole.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// How often the target is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long the target is given before it is judged, each time.
const WINDOW: Duration = Duration::from_secs(1);

/// How long the writers are never held.
const GRACE: Duration = Duration::from_secs(2);

/// The first and the shortest pause between two times in which the writers are held.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The target has almost everything.
    Go,
    /// Look again after this time.
    Wait(Duration),
    /// Wait for this time, hold the writers for a moment, and look again before they go on.
    Hold(Duration),
    GiveUp,
}

/// The lag as it was seen.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When a window began, and the lag then.
    window: Option<(Duration, i64)>,
    /// The pause between two times in which the writers are held.
    pause: Option<Duration>,
}

impl Pace {
    /// Decides, given the time since the beginning and the lag in bytes.
    pub(super) fn next(&mut self, now: Duration, lag: i64) -> Step {
        if lag <= CLOSE {
            return Step::Go;
        }
        if now >= PATIENCE {
            return Step::GiveUp;
        }
        let (since, before) = *self.window.get_or_insert((now, lag));
        if now.saturating_sub(since) >= WINDOW {
            self.window = Some((now, lag));
            let is_slow = lag > before - before / 5;
            if is_slow && now >= GRACE {
                let shorter = self.pause.map_or(FIRST_PAUSE, |pause| pause / 2);
                self.pause = Some(shorter.max(SHORTEST_PAUSE));
            }
        }
        self.pause.map_or(Step::Wait(LOOK_AGAIN), Step::Hold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: Duration = Duration::from_millis(200);

    /// Lets writers write, and the target apply, so many bytes per second. Returns how it ended, when, and how often
    /// the writers were held.
    fn simulate(mut lag: i64, written: u64, applied: u64) -> (Step, Duration, u32) {
        let bytes = |rate: u64, time: Duration| {
            i64::try_from(u128::from(rate) * time.as_millis() / 1_000).expect("it is small")
        };
        let (mut pace, mut now, mut held) = (Pace::default(), Duration::ZERO, 0);
        loop {
            let (free, hold) = match pace.next(now, lag) {
                Step::Wait(time) => (time, Duration::ZERO),
                Step::Hold(pause) => (pause, HELD),
                end => return (end, now, held),
            };
            held += u32::from(!hold.is_zero());
            lag = (lag + bytes(written, free) - bytes(applied, free)).max(0);
            lag = (lag - bytes(applied, hold)).max(0);
            now += free + hold;
        }
    }

    #[test]
    fn writers_that_are_slower_than_the_target_are_not_held() {
        let (end, _, held) = simulate(100_000_000, 10_000_000, 60_000_000);
        assert_eq!((end, held), (Step::Go, 0));
        assert_eq!(simulate(0, 1, 1), (Step::Go, Duration::ZERO, 0));
    }

    #[test]
    fn a_flood_is_slowed_down_until_the_target_has_caught_up() {
        for times in [1, 2, 5, 10, 15] {
            let (end, took, held) = simulate(200_000_000, times * 20_000_000, 20_000_000);
            assert_eq!(end, Step::Go, "{times}");
            assert!(took < Duration::from_secs(200), "{times}: {took:?}");
            assert!(held > 5, "{times}: {held}");
        }
    }

    #[test]
    fn a_target_that_applies_nothing_is_given_up() {
        let (end, took, _) = simulate(1_000_000, 0, 0);
        assert_eq!(end, Step::GiveUp);
        assert!(took >= PATIENCE && took < PATIENCE + Duration::from_secs(2), "{took:?}");
    }
}
