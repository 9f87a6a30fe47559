//! What this process knows of its own lease, by its own clock.

use std::time::Duration;

use super::{FALLS_BACK_AFTER, allocation::Grant};
use crate::pool::{Allowance, Moment};

/// The lease of this process.
#[derive(Debug)]
pub(super) struct Member {
    floor: usize,
    state: State,
    /// When the server was last asked on a session that it has answered.
    heard: Option<Moment>,
    wanted: usize,
}

/// What the last answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// There was none yet.
    Asking,
    /// The floors of all fit, but others have not given back enough.
    Waiting,
    /// There is no floor left.
    Refused,
    Granted {
        grant: Grant,
        sent: Moment,
    },
}

/// How busy this process is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Most connections in use by tenants since the last look.
    pub(crate) peak: usize,
    /// Further connections that waiting requests could use.
    pub(crate) waiting: usize,
    /// Connections that it needs besides.
    pub(crate) besides: usize,
}

const SECOND: Duration = Duration::from_secs(1);

impl Member {
    pub(super) fn new(floor: usize) -> Self {
        Self { floor, state: State::Asking, heard: None, wanted: floor }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Records the load, and returns how many connections this process wants. It forgets a peak by
    /// an eighth with each beat.
    pub(super) fn want(&mut self, load: Load, budget: usize) -> usize {
        let used = load.peak + load.waiting;
        // A quarter more, so that it can grow between two beats.
        let now = used + used.div_ceil(4) + load.besides;
        let faded = self.wanted - self.wanted.div_ceil(8);
        self.wanted = now.max(faded).clamp(self.floor, budget.max(self.floor));
        self.wanted
    }

    /// Takes the answer of a beat that was sent at a time.
    pub(super) fn answered(&mut self, sent: Moment, grant: Grant) {
        self.heard = Some(sent);
        self.state = match grant {
            Grant { counted, .. } if counted >= self.floor => State::Granted { grant, sent },
            Grant { fits: true, .. } => State::Waiting,
            Grant { fits: false, .. } => State::Refused,
        };
    }

    /// Records that the server has answered, though not with a grant. After a long silence, others may have what this
    /// process had.
    pub(super) fn heard(&mut self, sent: Moment) {
        if self.heard.is_some_and(|before| before.until(sent) >= FALLS_BACK_AFTER) {
            self.state = State::Asking;
        }
        self.heard = Some(sent);
    }

    /// Returns what this process may have.
    pub(super) fn allowance(&self, now: Moment) -> Allowance {
        let State::Granted { grant, sent } = self.state else { return Allowance::none(now) };
        // While it has sessions, others see them and leave it its floor.
        let heard = self.heard.map_or(Duration::ZERO, |heard| heard.time - sent.time);
        Allowance {
            since: sent,
            most: grant.most(),
            until: FALLS_BACK_AFTER,
            floor: self.floor,
            floor_until: heard + FALLS_BACK_AFTER,
        }
    }

    /// Returns the pause after a beat. `failed` is whether it had no answer.
    pub(super) fn pause(&self, failed: bool) -> Duration {
        match self.state {
            _ if failed => SECOND,
            State::Asking => SECOND,
            State::Waiting => SECOND / 4,
            State::Refused => SECOND * 2,
            // It has been asked to give, and others wait until it says that it has.
            State::Granted { grant, .. } if grant.counted > grant.share => SECOND / 2,
            // It can be asked to give.
            State::Granted { grant, .. } if grant.counted > self.floor => SECOND,
            State::Granted { .. } => SECOND * 5,
        }
    }

    /// Returns by which factor a pause differs, for a random number from 0 to 1. Processes for which nothing is counted
    /// open a connection to ask: those that started together must not ask together.
    pub(super) fn jitter(&self, random: f64) -> f64 {
        match self.state {
            State::Granted { .. } => 0.9 + 0.2 * random,
            State::Asking | State::Waiting | State::Refused => 0.5 + random,
        }
    }

    /// Returns the least pause if requests wait.
    pub(super) fn pause_of_waiting(&self, failed: bool) -> Duration {
        match self.state {
            // It has had all that it wanted, and wants more now.
            State::Granted { grant, .. } if !failed && grant.most() >= self.wanted => SECOND / 5,
            _ => self.pause(failed).min(SECOND),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::pool::Stage;

    const GRANT: Grant = Grant { counted: 30, share: 40, fits: true };

    fn at(seconds: u32) -> Moment {
        let time = SECOND * seconds;
        Moment { time, wall: SystemTime::UNIX_EPOCH + time }
    }

    fn stages(member: &Member, sent: u32) -> Vec<(u32, Stage)> {
        let allowance = member.allowance(at(sent));
        let mut stages = vec![(0, allowance.stage(Duration::ZERO))];
        for passed in 1..60 {
            let stage = allowance.stage(SECOND * passed);
            if stages.last().is_some_and(|(_, last)| *last != stage) {
                stages.push((passed, stage));
            }
        }
        stages
    }

    #[test]
    fn without_an_answer_it_has_nothing() {
        let mut member = Member::new(2);
        assert_eq!(stages(&member, 0), [(0, Stage::Asking)]);
        member.answered(at(1), Grant { counted: 1, share: 2, fits: true });
        assert_eq!((member.state(), member.pause(false)), (State::Waiting, SECOND / 4));
        member.answered(at(2), Grant { counted: 0, share: 2, fits: false });
        assert_eq!((member.state(), member.pause(false)), (State::Refused, SECOND * 2));
        assert_eq!(stages(&member, 2), [(0, Stage::Asking)]);
    }

    #[test]
    fn processes_that_started_together_do_not_ask_together() {
        let mut member = Member::new(2);
        assert_eq!([member.jitter(0.0), member.jitter(1.0)], [0.5, 1.5]);
        member.answered(at(1), GRANT);
        assert_eq!([member.jitter(0.0), member.jitter(1.0)], [0.9, 1.1]);
    }

    #[test]
    fn it_falls_back_to_its_floor_while_the_server_answers() {
        let mut member = Member::new(2);
        member.answered(at(1), GRANT);
        assert_eq!(stages(&member, 1), [(0, Stage::Granted), (10, Stage::Asking)]);
        member.heard(at(7));
        let expected = [(0, Stage::Granted), (10, Stage::Floor), (16, Stage::Asking)];
        assert_eq!(stages(&member, 1), expected);
        let allowance = member.allowance(at(7));
        assert_eq!((allowance.most, allowance.floor), (30, 2));
    }

    #[test]
    fn what_it_gives_it_no_longer_uses() {
        let mut member = Member::new(2);
        member.answered(at(1), Grant { counted: 30, share: 12, fits: true });
        assert_eq!(member.allowance(at(1)).most, 12);
        assert_eq!(member.pause(false), SECOND / 2);
    }

    #[test]
    fn it_wants_a_quarter_more_than_it_used_and_forgets_slowly() {
        let mut member = Member::new(2);
        let load = |peak, waiting| Load { peak, waiting, besides: 2 };
        assert_eq!(member.want(load(0, 0), 100), 2);
        assert_eq!(member.want(load(10, 30), 100), 52);
        assert_eq!(member.want(load(0, 0), 100), 45);
        assert_eq!(member.want(load(500, 0), 100), 100);
        for _ in 0..60 {
            member.want(load(0, 0), 100);
        }
        assert_eq!(member.want(load(0, 0), 100), 2);
    }

    #[test]
    fn it_beats_sooner_while_requests_wait_or_it_has_more_than_its_floor() {
        let mut member = Member::new(2);
        member.answered(at(1), Grant { counted: 2, share: 2, fits: true });
        assert_eq!(member.pause(false), SECOND * 5);
        assert_eq!(member.pause(true), SECOND);
        assert_eq!(member.pause_of_waiting(false), SECOND / 5);
        member.answered(at(1), GRANT);
        member.want(Load { peak: 80, ..Load::default() }, 100);
        assert_eq!((member.pause(false), member.pause_of_waiting(false)), (SECOND, SECOND));
    }
}
