//! The scheduler of a run over many schemas: which tenant comes next, and when to stop.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use super::Collision;

/// The time since the run began.
pub(super) type Time = Duration;

/// State shared by all workers of a run on one server.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// The next schemas, by their index.
    queue: VecDeque<usize>,
    /// Schemas that are postponed, with the time until then; the earliest first.
    later: VecDeque<(Time, usize)>,
    /// Schemas that are migrated while no other is.
    alone: VecDeque<usize>,
    /// How often schemas have collided with others.
    collisions: HashMap<usize, u32>,
    /// The number of consecutive schemas that failed in the same way while no other was being migrated.
    alone_in_vain: u32,
    /// Schemas that are being migrated.
    at_work: usize,
    /// The number of consecutive schemas that another run had locked or migrated.
    in_vain: usize,
    /// How often the direction of the queue was reversed.
    turned: u32,
    /// Whether a worker is reviewing which schemas other runs have migrated.
    reviewing: bool,
    review_began: Time,
    next_review: Time,
}

/// What a worker does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A schema, and how often the queue had been turned when it came.
    Schema(usize, u32),
    /// A schema while no other is being migrated.
    Alone(usize),
    /// All remaining schemas are postponed until then.
    Wait(Time),
    Nothing,
}

/// The minimum number of remaining schemas for a combined review; checking them one by one takes two round trips
/// each.
const WORTH_A_REVIEW: usize = 32;

/// The number of consecutive schemas taken by another run that triggers a review of all remaining ones.
const OFTEN: usize = 8;

/// How long the other workers wait for a review before they ask again.
const REVIEW: Duration = Duration::from_millis(5);

/// How long a schema that another run has locked is postponed.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Bounds of the delay after a collision.
const SCATTER: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];

/// The number of collisions after which a schema is migrated while no other is.
const OFTEN_ENOUGH: u32 = 2;

/// The number of consecutive schemas that can fail while running alone until the failure is attributed to them.
const IN_VAIN: u32 = 3;

impl Board {
    /// Adds schemas to the queue.
    pub(super) fn add(&mut self, schemas: &[usize]) {
        self.queue.extend(schemas);
    }

    /// Returns what a worker does next. It [comes back](Self::leave) from a schema before it asks again.
    ///
    /// Schemas that must run alone come last, when the other workers have run out of work.
    pub(super) fn next(&mut self, now: Time) -> Next {
        if self.reviewing {
            // The next schema in the queue is probably done.
            return Next::Wait(now + REVIEW);
        }
        let due = self.later.pop_front_if(|(until, _)| self.queue.is_empty() && *until <= now);
        let next = match due.map(|(_, schema)| schema).or_else(|| self.queue.pop_front()) {
            Some(schema) => Next::Schema(schema, self.turned),
            None => match (self.later.front(), self.alone.front()) {
                (Some(&(until, _)), _) => return Next::Wait(until),
                // The last worker to come back handles it.
                (None, Some(&schema)) if self.at_work == 0 => {
                    self.alone.pop_front();
                    Next::Alone(schema)
                }
                (None, _) => return Next::Nothing,
            },
        };
        self.at_work += 1;
        next
    }

    /// Records that a worker has come back from a schema.
    pub(super) fn leave(&mut self) {
        self.at_work -= 1;
    }

    /// Returns the schemas still in the queue, if there are enough for a combined review and no other worker is doing
    /// one.
    pub(super) fn begin_review(&mut self, now: Time) -> Option<Vec<usize>> {
        let enough = self.queue.len() >= WORTH_A_REVIEW && now >= self.next_review;
        let pays = enough && !self.reviewing;
        self.reviewing |= pays;
        self.review_began = now;
        pays.then(|| self.queue.iter().copied().collect())
    }

    /// Removes the schemas that another run has migrated from the queue. Returns those that were in it.
    pub(super) fn end_review(&mut self, now: Time, done: &HashSet<usize>) -> Vec<usize> {
        (self.reviewing, self.in_vain) = (false, 0);
        // Ensures that most of the time is spent on migrations.
        self.next_review = now + now.saturating_sub(self.review_began) * 3;
        let (gone, left) = self.queue.drain(..).partition(|schema| done.contains(schema));
        self.queue = left;
        Vec::from(gone)
    }

    /// Records that another run has locked the schema.
    pub(super) fn postpone(&mut self, now: Time, schema: usize) {
        self.put_off(now + LOOK_AGAIN, schema);
    }

    fn put_off(&mut self, until: Time, schema: usize) {
        let place = self.later.partition_point(|(earlier, _)| *earlier <= until);
        self.later.insert(place, (until, schema));
    }

    /// Records that a schema has collided with others: it is retried after the rest, and while no other is being
    /// migrated if it has collided before or if the failure may be its own. Returns `false` if a retry is pointless.
    ///
    /// `chance` is between 0 and 1, and spreads retries of schemas that have collided.
    pub(super) fn collided(
        &mut self,
        now: Time,
        schema: usize,
        how: Collision,
        chance: f64,
    ) -> bool {
        if self.alone_in_vain >= IN_VAIN {
            return false;
        }
        let collisions = self.collisions.entry(schema).or_default();
        *collisions += 1;
        if how == Collision::Possible || *collisions >= OFTEN_ENOUGH {
            self.alone.push_back(schema);
        } else {
            let [least, most] = SCATTER;
            self.put_off(now + least + (most - least).mul_f64(chance.clamp(0.0, 1.0)), schema);
        }
        true
    }

    /// Returns how often a schema has collided with others.
    pub(super) fn collisions(&self, schema: usize) -> u32 {
        self.collisions.get(&schema).copied().unwrap_or_default()
    }

    /// Records whether a schema collided although no other was being migrated.
    pub(super) fn was_alone(&mut self, collided: bool) {
        self.alone_in_vain = if collided { self.alone_in_vain + 1 } else { 0 };
    }

    /// Removes the collided schemas, which will not be retried because the run has stopped.
    pub(super) fn given_up(&mut self) -> Vec<usize> {
        let later = self.later.drain(..).map(|(_, schema)| schema);
        let collided = later.filter(|schema| self.collisions.contains_key(schema));
        self.alone.drain(..).chain(collided).collect()
    }

    /// Records that another run has migrated a schema, or is doing so, and continues with the next one: the direction
    /// is reversed, so that the two runs meet once and not at every schema. Returns `true` if this has happened so
    /// often that all remaining schemas should be reviewed.
    ///
    /// `chance` is between 0 and 1. Two runs that start together meet immediately, and if both reversed their
    /// direction they would keep meeting: so half of the time we do not.
    pub(super) fn met_somebody(&mut self, turned: u32, chance: f64) -> bool {
        self.in_vain += 1;
        // Workers that were already in progress meet the same run.
        if turned == self.turned && chance < 0.5 {
            self.turned += 1;
            self.queue.make_contiguous().reverse();
        }
        self.in_vain >= OFTEN
    }

    /// Records that no other run had handled a schema.
    pub(super) fn met_nobody(&mut self) {
        self.in_vain = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn those_that_are_locked_come_after_all_others() {
        let mut board = Board::default();
        board.add(&[0, 1]);
        assert_eq!(board.next(MS), Next::Schema(0, 0));
        board.postpone(MS, 0);
        assert_eq!(board.next(MS * 100), Next::Schema(1, 0));
        assert_eq!(board.next(MS * 2), Next::Wait(MS + LOOK_AGAIN));
        assert_eq!(board.next(MS * 100), Next::Schema(0, 0));
        assert_eq!(board.next(MS * 100), Next::Nothing);
    }

    /// Visits every schema that is due, and comes back immediately.
    fn all_due(board: &mut Board, now: Time) -> Vec<Next> {
        let one = || match board.next(now) {
            Next::Nothing | Next::Wait(_) => None,
            next => {
                board.leave();
                Some(next)
            }
        };
        std::iter::from_fn(one).collect()
    }

    #[test]
    fn those_that_collide_come_later_and_then_alone() {
        let mut board = Board::default();
        board.add(&[0, 1, 2]);
        assert_eq!((board.next(MS), board.next(MS)), (Next::Schema(0, 0), Next::Schema(1, 0)));
        assert!(board.collided(MS, 1, Collision::Certain, 1.0));
        assert!(board.collided(MS, 0, Collision::Certain, 0.0));
        board.leave();
        board.leave();
        assert_eq!(board.next(MS), Next::Schema(2, 0));
        assert_eq!(board.next(MS), Next::Wait(MS * 21), "the one that is due first");
        assert_eq!(board.next(MS * 21), Next::Schema(0, 0));
        assert_eq!(board.next(MS * 21), Next::Wait(MS * 101));
        assert!(board.collided(MS * 22, 0, Collision::Certain, 0.5));
        board.leave();
        assert_eq!(board.next(MS * 101), Next::Schema(1, 0));
        assert_eq!(board.next(MS * 101), Next::Nothing, "two are still at work");
        board.leave();
        board.leave();
        assert_eq!((board.next(MS * 101), board.collisions(0)), (Next::Alone(0), 2));
        assert_eq!(board.next(MS * 101), Next::Nothing);
    }

    #[test]
    fn what_may_be_its_own_fault_is_tried_once_more_alone_and_not_in_all_schemas() {
        let mut board = Board::default();
        for schema in 0..3 {
            assert!(board.collided(MS, schema, Collision::Possible, 0.5));
        }
        let alone = [Next::Alone(0), Next::Alone(1), Next::Alone(2)];
        assert_eq!(all_due(&mut board, MS), alone);
        board.was_alone(true);
        board.was_alone(true);
        assert!(board.collided(MS, 3, Collision::Possible, 0.5));
        board.was_alone(true);
        assert!(!board.collided(MS, 4, Collision::Possible, 0.5), "it is their own fault");
        board.was_alone(false);
        assert!(board.collided(MS, 4, Collision::Possible, 0.5));
    }

    #[test]
    fn those_that_have_collided_are_given_up_when_the_run_stops() {
        let mut board = Board::default();
        board.add(&[0, 1, 2]);
        assert_eq!([0, 1, 2].map(|_| board.next(MS)), [0, 1, 2].map(|at| Next::Schema(at, 0)));
        board.postpone(MS, 0);
        assert!(board.collided(MS, 1, Collision::Certain, 0.5));
        assert!(board.collided(MS, 2, Collision::Possible, 0.5));
        assert_eq!(board.given_up(), [2, 1]);
    }

    #[test]
    fn whoever_meets_somebody_turns_around_once() {
        let mut board = Board::default();
        board.add(&[0, 1, 2, 3, 4, 5]);
        assert_eq!((board.next(MS), board.next(MS)), (Next::Schema(0, 0), Next::Schema(1, 0)));
        assert!(!board.met_somebody(0, 0.4));
        assert!(!board.met_somebody(0, 0.4));
        assert_eq!((board.next(MS), board.next(MS)), (Next::Schema(5, 1), Next::Schema(4, 1)));
        assert!(!board.met_somebody(1, 0.6));
        assert!(!board.met_somebody(1, 0.4));
        assert_eq!((board.next(MS), board.next(MS)), (Next::Schema(2, 2), Next::Schema(3, 2)));
        board.met_nobody();
        let often = (1..=OFTEN).map(|_| board.met_somebody(0, 0.9)).filter(|often| *often);
        assert_eq!(often.count(), 1, "after so many in a row");
    }

    #[test]
    fn a_review_takes_out_what_others_have_done() {
        let mut board = Board::default();
        board.add(&[1, 2, 3]);
        assert_eq!(board.begin_review(MS), None, "three are not worth it");
        board.add(&(4..=40).collect::<Vec<_>>());
        assert_eq!(board.begin_review(MS).map(|queue| queue.len()), Some(40));
        assert_eq!(board.begin_review(MS), None, "one at a time");
        assert_eq!(board.next(MS), Next::Wait(MS + REVIEW), "the others wait for it");
        let gone = board.end_review(MS * 2, &(1..=38).collect());
        assert_eq!(gone, (1..=38).collect::<Vec<_>>());
        assert_eq!((board.next(MS), board.next(MS)), (Next::Schema(39, 0), Next::Schema(40, 0)));
        assert_eq!(board.next(MS), Next::Nothing);
        board.add(&(4..=40).collect::<Vec<_>>());
        assert_eq!(board.begin_review(MS * 4), None, "most of the time is for work");
        assert!(board.begin_review(MS * 5).is_some());
    }
}
