use super::lsn::{History, Lsn};
use crate::pool::scheduler::Time;

/// What a server process group has said about itself.
///
/// The connections of one replica can lead to several, by a name that stands for all. One that is
/// started again may be at an earlier position than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) struct Instance {
    /// When its server was started, which no other server has in common.
    pub(in crate::pool) started: i64,
    pub(in crate::pool) history: History,
    pub(in crate::pool) in_recovery: bool,
    /// It has replayed the log up to here, or farther.
    pub(in crate::pool) lsn: Lsn,
    /// The OID of the database that the replica's URL names, if it was asked there.
    pub(in crate::pool) database: Option<u32>,
    /// When it said so.
    pub(in crate::pool) seen: Time,
}

/// The servers behind one replica.
#[derive(Debug, Default)]
pub(in crate::pool) struct Instances(Vec<Instance>);

/// The number of servers that are remembered.
const MOST: usize = 16;

impl Instances {
    pub(in crate::pool) fn get(&self, started: i64) -> Option<Instance> {
        self.0.iter().find(|of| of.started == started).copied()
    }

    /// Returns the one that was heard of last.
    pub(in crate::pool) fn latest(&self) -> Option<Instance> {
        self.0.iter().max_by_key(|of| of.seen).copied()
    }

    /// Records what a server has said.
    pub(in crate::pool) fn note(&mut self, seen: Instance) {
        match self.0.iter_mut().find(|of| of.started == seen.started) {
            // Answers can overtake each other; replay does not go back.
            Some(known) if known.history == seen.history && known.seen > seen.seen => {
                known.lsn = known.lsn.max(seen.lsn);
                known.database = known.database.or(seen.database);
            }
            Some(known) => {
                let same = known.history == seen.history && known.in_recovery == seen.in_recovery;
                let lsn = if same { seen.lsn.max(known.lsn) } else { seen.lsn };
                let database = seen.database.or(known.database);
                *known = Instance { lsn, database, ..seen };
            }
            None => {
                if self.0.len() >= MOST
                    && let Some(oldest) = (0..self.0.len()).min_by_key(|index| self.0[*index].seen)
                {
                    self.0.swap_remove(oldest);
                }
                self.0.push(seen);
            }
        }
    }

    /// Records where a server is that has just begun a session.
    ///
    /// One that crashes ends all its sessions and starts over, at an earlier position than it had before, and
    /// without another start time. So what is known from before is not known of new sessions.
    pub(in crate::pool) fn note_session(&mut self, started: i64, lsn: Option<Lsn>) {
        if let Some(known) = self.0.iter_mut().find(|of| of.started == started) {
            known.lsn = known.lsn.min(lsn.unwrap_or_default());
        }
    }

    /// Records what was in the response to a bind, if the server is known otherwise.
    pub(in crate::pool) fn note_replayed(
        &mut self,
        started: i64,
        in_recovery: bool,
        lsn: Option<Lsn>,
        now: Time,
    ) {
        let Some(known) = self.0.iter_mut().find(|of| of.started == started) else { return };
        known.in_recovery &= in_recovery;
        if let Some(lsn) = lsn.filter(|_| in_recovery) {
            known.lsn = known.lsn.max(lsn);
            known.seen = known.seen.max(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn instance(started: i64, seen: u64, lsn: u64) -> Instance {
        Instance {
            started,
            history: History { system: 7, timeline: 1 },
            in_recovery: true,
            lsn: Lsn::new(lsn),
            database: Some(5),
            seen: Duration::from_millis(seen),
        }
    }

    #[test]
    fn each_server_has_its_own_position() {
        let mut instances = Instances::default();
        instances.note(instance(1, 0, 100));
        instances.note(instance(2, 1, 50));
        assert_eq!(instances.get(1).map(|of| of.lsn), Some(Lsn::new(100)));
        assert_eq!(instances.get(2).map(|of| of.lsn), Some(Lsn::new(50)));
        assert_eq!(instances.latest(), Some(instance(2, 1, 50)));
        instances.note_replayed(2, true, Some(Lsn::new(70)), Duration::from_millis(2));
        instances.note_replayed(3, true, Some(Lsn::new(900)), Duration::from_millis(2));
        assert_eq!(instances.get(2), Some(instance(2, 2, 70)));
        assert_eq!(instances.get(3), None, "its history is not known");
    }

    #[test]
    fn a_late_answer_takes_nothing_back() {
        let mut instances = Instances::default();
        instances.note(instance(1, 5, 100));
        instances.note(instance(1, 4, 90));
        assert_eq!(instances.get(1), Some(instance(1, 5, 100)));
        let forked = Instance { history: History { system: 7, timeline: 2 }, ..instance(1, 6, 95) };
        instances.note(forked);
        assert_eq!(instances.get(1), Some(forked), "of another history");
    }

    #[test]
    fn a_new_session_tells_what_was_lost_in_a_crash() {
        let mut instances = Instances::default();
        instances.note(instance(1, 5, 100));
        instances.note_session(1, Some(Lsn::new(120)));
        assert_eq!(instances.get(1).map(|of| of.lsn), Some(Lsn::new(100)));
        instances.note_session(1, Some(Lsn::new(90)));
        assert_eq!(instances.get(1).map(|of| of.lsn), Some(Lsn::new(90)));
        instances.note_session(1, None);
        assert_eq!(instances.get(1).map(|of| of.lsn), Some(Lsn::default()));
    }

    #[test]
    fn promotion_shows_in_a_bind() {
        let mut instances = Instances::default();
        instances.note(instance(1, 5, 100));
        instances.note_replayed(1, false, None, Duration::from_millis(6));
        assert!(!instances.get(1).unwrap().in_recovery);
    }

    #[test]
    fn no_more_are_remembered_than_fit() {
        let mut instances = Instances::default();
        (0..100).for_each(|nth| instances.note(instance(nth, nth.unsigned_abs(), 1)));
        assert_eq!(instances.0.len(), MOST);
        assert!(instances.get(99).is_some() && instances.get(0).is_none());
    }
}
