use std::{collections::VecDeque, time::Duration};

use super::lsn::{History, Lsn};
use crate::pool::scheduler::Time;

/// The position of the primary at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) struct Sample {
    pub(in crate::pool) history: History,
    pub(in crate::pool) lsn: Lsn,
    /// The OID of the database that its URL names.
    pub(in crate::pool) database: u32,
    /// When it was asked: everything that was committed before is at or before the position.
    pub(in crate::pool) asked: Time,
}

/// The positions of the primary in the recent past.
///
/// From them follows how old the data of a replica can be at most, by the clock of this process
/// alone: a replica that has replayed the log up to a position has everything that was committed
/// before the primary was asked for it.
#[derive(Debug)]
pub(in crate::pool) struct Trail {
    /// By time, of one history.
    samples: VecDeque<Sample>,
    /// The time between two samples that are kept.
    spacing: Duration,
    most: usize,
}

impl Trail {
    /// Creates one that can tell ages up to this in [`PARTS`].
    pub(in crate::pool) fn of(longest: Duration) -> Self {
        let spacing = (longest / PARTS).max(Duration::from_millis(1));
        let most =
            usize::try_from(SPAN.as_millis() / spacing.as_millis().max(1)).unwrap_or_default();
        Self { samples: VecDeque::new(), spacing, most: most + 3 }
    }

    /// Returns how old the newest sample may be before the primary is asked again.
    pub(in crate::pool) fn spacing(&self) -> Duration {
        self.spacing
    }

    /// Records a position. Returns `false` if it comes from a server that has been superseded.
    pub(in crate::pool) fn note(&mut self, sample: Sample) -> bool {
        if let Some(newest) = self.newest() {
            if newest.history.supersedes(sample.history) {
                return false;
            }
            if newest.history != sample.history {
                self.samples.clear();
            } else if sample.asked <= newest.asked {
                return true;
            } else if sample.lsn < newest.lsn {
                // The primary has lost the end of its log in a crash.
                self.samples.clear();
            }
        }
        // The last one but one is far enough behind: the last one is not needed between them.
        if let [.., before, last] = self.samples.make_contiguous()
            && last.asked.saturating_sub(before.asked) < self.spacing
        {
            *last = sample;
            return true;
        }
        self.samples.push_back(sample);
        if self.samples.len() > self.most {
            self.samples.pop_front();
        }
        true
    }

    pub(in crate::pool) fn newest(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    /// Returns the most that data at a position can be behind the primary's now; `None` if it is
    /// longer than can be told.
    pub(in crate::pool) fn age(&self, lsn: Lsn, now: Time) -> Option<Duration> {
        let at = self.samples.iter().rev().find(|sample| sample.lsn <= lsn)?;
        Some(now.saturating_sub(at.asked))
    }
}

/// A position is known for each of these parts of the longest age that matters.
const PARTS: u32 = 5;

/// How far back positions are known, at least.
const SPAN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const fn of(timeline: u32) -> History {
        History { system: 7, timeline }
    }

    fn sample(millis: u64, lsn: u64) -> Sample {
        let (lsn, asked) = (Lsn::new(lsn), Duration::from_millis(millis));
        Sample { history: of(1), lsn, database: 5, asked }
    }

    #[test]
    fn data_is_as_old_as_the_last_position_that_it_has() {
        let mut trail = Trail::of(Duration::from_secs(5));
        let now = Duration::from_secs(10);
        assert_eq!(trail.age(Lsn::new(1), now), None);
        for second in 0..=10 {
            assert!(trail.note(sample(second * 1000, 100 * (second + 1))));
        }
        for (lsn, age) in
            [(2000, Some(0)), (1100, Some(0)), (1099, Some(1)), (650, Some(5)), (99, None)]
        {
            assert_eq!(trail.age(Lsn::new(lsn), now), age.map(Duration::from_secs), "{lsn}");
        }
    }

    #[test]
    fn frequent_positions_take_no_room_and_the_newest_is_known() {
        let mut trail = Trail::of(Duration::from_secs(5));
        for millis in 0..20_000 {
            trail.note(sample(millis, millis + 1));
            assert_eq!(trail.newest(), Some(sample(millis, millis + 1)));
        }
        assert!(trail.samples.len() <= 13, "{}", trail.samples.len());
        let age = trail.age(Lsn::new(15_500), Duration::from_secs(20)).unwrap();
        assert!((4_500..=5_600).contains(&age.as_millis()), "{age:?}");
    }

    #[test]
    fn an_idle_primary_is_not_behind_itself() {
        let mut trail = Trail::of(Duration::from_secs(5));
        (0..100).for_each(|second| assert!(trail.note(sample(second * 1000, 5))));
        assert_eq!(trail.age(Lsn::new(5), Duration::from_secs(99)), Some(Duration::ZERO));
        assert_eq!(trail.age(Lsn::new(4), Duration::from_secs(99)), None);
    }

    #[test]
    fn a_promotion_begins_anew_and_the_former_primary_is_not_heard() {
        let mut trail = Trail::of(Duration::from_secs(5));
        trail.note(sample(0, 100));
        let new = Sample { history: of(2), ..sample(1000, 90) };
        assert!(trail.note(new));
        assert!(!trail.note(sample(2000, 200)));
        assert_eq!(trail.newest(), Some(new));
        assert_eq!(trail.age(Lsn::new(89), Duration::from_secs(1)), None);
    }

    #[test]
    fn what_a_crash_has_lost_is_forgotten() {
        let mut trail = Trail::of(Duration::from_secs(5));
        trail.note(sample(0, 100));
        trail.note(sample(1000, 90));
        assert_eq!(trail.newest(), Some(sample(1000, 90)));
        assert!(trail.note(sample(500, 95)), "an answer that was late");
        assert_eq!(trail.newest(), Some(sample(1000, 90)));
    }
}
