//! What one process has seen of the others: whose lease has expired, and who is gone.
//!
//! A process counts time by its own clock, from when it first saw that another one beat. The
//! clocks of the server and of other processes can be set, and decide nothing.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{EXPIRES_AFTER, GONE_AFTER, LONGEST_LOOK};

/// A process in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) instance: Arc<str>,
    pub(super) budget: usize,
    pub(super) floor: usize,
    pub(super) wanted: usize,
    /// The connections that are counted for it.
    pub(super) counted: usize,
    /// Number of its beats, as it counts them itself: it does not begin anew when the row does, so another process never
    /// takes a new row for one that it has seen before.
    pub(super) beats: i64,
}

/// What is known of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    Lives,
    /// Its lease has expired, and it can have so many connections.
    Expired(usize),
    /// It has had no session for so long that it does not expect to have any.
    Gone,
}

/// What is to be written about a process whose lease has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lapsed {
    pub(super) instance: Arc<str>,
    /// Number of its beats: with another one, it lives.
    pub(super) beats: i64,
    /// The connections that are counted for it now. `None` if it is gone.
    pub(super) counted: Option<usize>,
}

impl Lapsed {
    /// Returns what is to be written about a process, if it is not as its row has it.
    pub(super) fn of(row: &Row, sight: Sight) -> Option<Self> {
        let counted = match sight {
            Sight::Expired(holds) if holds != row.counted => Some(holds),
            Sight::Gone => None,
            Sight::Lives | Sight::Expired(_) => return None,
        };
        Some(Self { instance: Arc::clone(&row.instance), beats: row.beats, counted })
    }
}

/// The other processes, as this one has seen them.
#[derive(Debug, Default)]
pub(super) struct Sightings(HashMap<Arc<str>, Seen>);

#[derive(Debug)]
struct Seen {
    beats: i64,
    /// When this number was first seen.
    since: Duration,
    /// The first and the last of the looks that have found no session of it.
    absent: Option<(Duration, Duration)>,
}

impl Sightings {
    /// Records the rows that were read. Returns the processes whose leases have expired, of which
    /// the sessions are to be counted.
    pub(super) fn note(&mut self, now: Duration, rows: &[Row]) -> Vec<Arc<str>> {
        for row in rows {
            let seen = self.0.entry(Arc::clone(&row.instance));
            let new = || Seen { beats: row.beats, since: now, absent: None };
            let seen = seen.or_insert_with(new);
            if seen.beats != row.beats {
                *seen = new();
            }
        }
        if self.0.len() > rows.len() {
            self.0.retain(|instance, _| rows.iter().any(|row| row.instance == *instance));
        }
        let expired = rows.iter().filter(|row| self.is_expired(now, &row.instance));
        expired.map(|row| Arc::clone(&row.instance)).collect()
    }

    fn is_expired(&self, now: Duration, instance: &str) -> bool {
        let since = self.0.get(instance).map(|seen| seen.since);
        since.is_some_and(|since| now.saturating_sub(since) >= EXPIRES_AFTER)
    }

    /// Judges a process by the number of its sessions, which matters only if its lease has
    /// expired.
    pub(super) fn judge(&mut self, now: Duration, row: &Row, sessions: usize) -> Sight {
        if !self.is_expired(now, &row.instance) {
            return Sight::Lives;
        }
        let Some(seen) = self.0.get_mut(&row.instance) else { return Sight::Lives };
        if sessions > 0 {
            seen.absent = None;
            // It may be cut off from the table, and have its floor.
            return Sight::Expired(sessions.max(row.floor.min(row.counted)));
        }
        let first = match seen.absent {
            // Between two looks that are far apart it could have come and gone.
            Some((first, last)) if now.saturating_sub(last) <= LONGEST_LOOK => first,
            _ => now,
        };
        seen.absent = Some((first, now));
        match now.saturating_sub(first) >= GONE_AFTER {
            true => Sight::Gone,
            false => Sight::Expired(row.floor.min(row.counted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn row(beats: i64) -> Row {
        Row { instance: "a".into(), budget: 100, floor: 2, wanted: 40, counted: 30, beats }
    }

    #[test]
    fn a_lease_expires_when_its_process_has_not_beaten_for_long() {
        let mut seen = Sightings::default();
        assert!(seen.note(S, &[row(1)]).is_empty());
        assert!(seen.note(S * 15, &[row(1)]).is_empty());
        assert_eq!(seen.note(S * 16, &[row(1)]), ["a".into()]);
        assert!(seen.note(S * 17, &[row(2)]).is_empty(), "it has beaten");
        assert!(seen.note(S * 31, &[row(2)]).is_empty());
        assert_eq!(seen.note(S * 90, &[row(2)]).len(), 1, "also if this one has slept");
    }

    #[test]
    fn one_that_has_sessions_is_counted_for_them_and_not_for_less_than_its_floor() {
        let mut seen = Sightings::default();
        seen.note(S, &[row(1)]);
        assert_eq!(seen.judge(S * 2, &row(1), 30), Sight::Lives);
        assert_eq!(seen.judge(S * 60, &row(1), 30), Sight::Expired(30));
        assert_eq!(seen.judge(S * 600, &row(1), 1), Sight::Expired(2));
        // One that was never granted a floor has none.
        let waiting = Row { counted: 0, ..row(1) };
        assert_eq!(seen.judge(S * 601, &waiting, 0), Sight::Expired(0));
    }

    #[test]
    fn one_without_sessions_is_gone_after_a_while() {
        let mut seen = Sightings::default();
        seen.note(S, &[row(1)]);
        for at in [20, 25, 30, 35] {
            assert_eq!(seen.judge(S * at, &row(1), 0), Sight::Expired(2));
        }
        assert_eq!(seen.judge(S * 40, &row(1), 0), Sight::Gone);
    }

    #[test]
    fn a_session_in_between_or_a_long_pause_begins_that_anew() {
        let mut seen = Sightings::default();
        seen.note(S, &[row(1)]);
        for (at, sessions) in [(20, 0), (30, 0), (39, 1), (40, 0), (59, 0), (69, 0)] {
            assert_ne!(seen.judge(S * at, &row(1), sessions), Sight::Gone, "at {at}");
        }
        assert_eq!(seen.judge(S * 79, &row(1), 0), Sight::Gone);
    }
}
