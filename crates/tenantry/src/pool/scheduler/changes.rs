//! How many places change hands at a time.
//!
//! A place that changes hands serves no request meanwhile, and more connects at a time than the
//! server has processors for only make each of them slower. So their number follows the time that connects
//! take: as with TCP Vegas, the excess over the fastest one shows how many of them wait for the
//! server. How fast one is without others beside it is measured now and then, as with TCP BBR.

use std::time::Duration;

#[derive(Debug)]
pub(super) struct Changes {
    most: f64,
    fastest: Option<Duration>,
    /// Connects since one was measured that had few others beside it.
    since_measured: u32,
}

/// How many places change hands at a time before anything is known.
const AT_FIRST: f64 = 4.0;

const LEAST: usize = 2;

/// At most this part of all places, half, changes hands at a time.
const PART: f64 = 2.0;

/// More places change hands while fewer connects than this wait for the server, and fewer while more
/// do than [`MANY`].
const FEW: f64 = 0.5;

const MANY: f64 = 1.5;

/// After so many connects, [`LEAST`] places change hands at a time until one of them has been measured.
const MEASURE_AFTER: u32 = 64;

/// How much slower than the fastest connect before it a measured one may be: a single one may have been slow by chance.
const SLOWER: f64 = 1.25;

impl Default for Changes {
    fn default() -> Self {
        Self { most: AT_FIRST, fastest: None, since_measured: 0 }
    }
}

impl Changes {
    /// Returns how many places may change hands at a time.
    pub(super) fn most(&self, budget: usize) -> usize {
        let most = if self.is_measuring() { LEAST } else { self.most as usize };
        most.min((budget as f64 / PART) as usize).max(1)
    }

    fn is_measuring(&self) -> bool {
        self.since_measured >= MEASURE_AFTER
    }

    /// Learns from a connect. When it began, so many places were changing hands, this one included.
    pub(super) fn opened(&mut self, took: Duration, at_once: usize, budget: usize) {
        let took = took.max(Duration::from_nanos(1));
        if self.is_measuring() {
            if at_once <= LEAST {
                let slowest = self.fastest.map_or(took, |before| before.mul_f64(SLOWER));
                self.fastest = Some(took.min(slowest));
                self.since_measured = 0;
            }
            return;
        }
        self.since_measured += 1;
        let fastest = self.fastest.map_or(took, |before| before.min(took));
        self.fastest = Some(fastest);
        let waiting = at_once as f64 * (1.0 - fastest.as_secs_f64() / took.as_secs_f64());
        // One more or less for each round of connects.
        let step = 1.0 / self.most;
        if waiting < FEW {
            self.most += step;
        } else if waiting > MANY {
            self.most -= step;
        }
        self.most = self.most.min(budget as f64 / PART).max(LEAST as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Returns how many places change hands at a time on a server where connects take this long,
    /// depending on how many there are at once.
    fn settles_at(budget: usize, time_of: impl Fn(usize) -> Duration) -> usize {
        // The first ones are all made at once.
        let mut changes = Changes::default();
        (0..budget).for_each(|_| changes.opened(time_of(budget), budget, budget));
        let mut most = Vec::new();
        for _ in 0..2_000 {
            let at_once = changes.most(budget);
            changes.opened(time_of(at_once), at_once, budget);
            most.push(at_once);
        }
        most.sort_unstable();
        most[most.len() / 2]
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
    fn odd_times_are_harmless() {
        let mut changes = Changes::default();
        for took in [0, u64::MAX, 0, 1].into_iter().cycle().take(500) {
            for at_once in [usize::MAX, 1] {
                changes.opened(Duration::from_secs(took), at_once, 20);
                assert!((1..=10).contains(&changes.most(20)));
            }
        }
    }
}
