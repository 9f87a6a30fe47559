//! How many places change hands at a time.
//!
//! A place that changes hands serves no request meanwhile, and more connects at a time than the
//! server has processors for only make each of them slower. So their number follows the time that connects
//! take: as with TCP Vegas, the excess over the fastest one shows how many of them wait for the
//! server. As many connections are closed meanwhile, for the next connects.

use std::time::Duration;

use super::Time;

#[derive(Debug)]
pub(super) struct Changes {
    most: f64,
    /// The fastest connect, and when it was last compared.
    fastest: Option<(Duration, Time)>,
}

/// How many places change hands at a time before anything is known.
const AT_FIRST: f64 = 4.0;

const LEAST: f64 = 2.0;

/// At most this part of all places, half, changes hands at a time.
const PART: f64 = 2.0;

/// More places change hands while fewer connects than this wait for the server, and fewer while more
/// do than [`MANY`].
const FEW: f64 = 0.5;

const MANY: f64 = 1.5;

/// After each period of this many seconds, the fastest connect counts as twice as slow, in case the
/// server has become slower.
const OUTDATED: f64 = 600.0;

impl Default for Changes {
    fn default() -> Self {
        Self { most: AT_FIRST, fastest: None }
    }
}

impl Changes {
    /// Returns `true` if another place may change hands, beside so many for which a connection is being opened,
    /// and so many whose connection is being closed: that takes time, and hardly any of the server.
    pub(super) fn allow_another(&self, opening: usize, closing: usize, budget: usize) -> bool {
        let part = ((budget as f64 / PART) as usize).max(1);
        opening.max(closing) < self.most(budget) && opening + closing < part
    }

    /// Returns how many connects there may be at a time.
    fn most(&self, budget: usize) -> usize {
        (self.most.min(budget as f64 / PART) as usize).max(1)
    }

    /// Learns from a connect, one of so many at a time.
    pub(super) fn opened(&mut self, now: Time, took: Duration, at_once: usize, budget: usize) {
        let fastest = self.fastest_with(now, took);
        let waiting = at_once as f64 * (1.0 - fastest.as_secs_f64() / took.as_secs_f64());
        // One more or less for each round of connects.
        let step = 1.0 / self.most;
        if waiting < FEW {
            self.most += step;
        } else if waiting > MANY {
            self.most -= step;
        }
        self.most = self.most.min(budget as f64 / PART).max(LEAST);
    }

    fn fastest_with(&mut self, now: Time, took: Duration) -> Duration {
        let before = self.fastest.map(|(fastest, at)| {
            let age = now.saturating_sub(at).as_secs_f64() / OUTDATED;
            // After a long pause, the next connect decides.
            fastest.mul_f64(age.min(10.0).exp2())
        });
        let fastest = before.map_or(took, |before| before.min(took)).max(Duration::from_nanos(1));
        self.fastest = Some((fastest, now));
        fastest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Returns how many places change hands at a time on a server where connects take this long,
    /// depending on how many there are at once.
    fn settles_at(budget: usize, time_of: impl Fn(usize) -> Duration) -> usize {
        let (mut changes, mut now) = (Changes::default(), Time::ZERO);
        changes.opened(now, time_of(1), 1, budget);
        for _ in 0..500 {
            let at_once = changes.most(budget);
            now += time_of(at_once);
            changes.opened(now, time_of(at_once), at_once, budget);
        }
        changes.most(budget)
    }

    #[test]
    fn no_more_connects_at_a_time_than_the_server_has_processors_for() {
        for processors in [1, 2, 4, 8] {
            let shared = |at_once: usize| MS * 6 * at_once.div_ceil(processors).max(1) as u32;
            let most = settles_at(100, shared);
            assert!((processors..=processors + 3).contains(&most), "{processors}: {most}");
        }
    }

    #[test]
    fn connects_that_do_not_hinder_each_other_take_half_of_the_places() {
        assert_eq!(settles_at(20, |_| MS * 80), 10);
        assert_eq!(settles_at(1, |_| MS * 80), 1);
    }

    #[test]
    fn connections_are_closed_for_the_next_connects_meanwhile() {
        let changes = Changes::default();
        let allowed = |budget, opening, closing| changes.allow_another(opening, closing, budget);
        assert!(allowed(20, 3, 3) && !allowed(20, 4, 0) && !allowed(20, 0, 4));
        assert!(allowed(8, 2, 1) && !allowed(8, 2, 2), "half of the places at most");
        assert!(allowed(1, 0, 0) && !allowed(1, 1, 0) && !allowed(1, 0, 1));
    }

    #[test]
    fn odd_times_are_harmless() {
        let mut changes = Changes::default();
        for (now, took) in [(0, 0), (0, u64::MAX), (u64::MAX, 0), (1, 1)] {
            let [now, took] = [now, took].map(Duration::from_secs);
            changes.opened(now, took, usize::MAX, 20);
            assert!((1..=10).contains(&changes.most(20)));
        }
    }
}
