use std::time::Duration;

use super::{
    instances::Instance,
    lsn::Lsn,
    trail::{Sample, Trail},
};
use crate::pool::scheduler::Time;

/// How old the data may be from which a bind has found whose a schema or key is. A name or key that was
/// given up is not given to another tenant within 10 s, on the primary; a replica can replay both at once.
const FOUND_FOR: Duration = Duration::from_secs(9);

/// How far a replica may be behind its primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplicaLimits {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

/// The longest that a read waits for a replica to be at a position.
pub(crate) const WAIT: Duration = Duration::from_millis(20);

impl Default for ReplicaLimits {
    fn default() -> Self {
        Self { bytes: 16 << 20, time: Duration::from_secs(5) }
    }
}

/// A server that may answer a read.
#[derive(Debug, Clone, Copy)]
pub(in crate::pool) struct Case<'a> {
    /// What is known of it, if anything.
    pub(in crate::pool) instance: Option<Instance>,
    /// `true` if it has just said so.
    pub(in crate::pool) is_fresh: bool,
    /// `true` if the tenant's database is not the one that the replica's URL names.
    pub(in crate::pool) is_elsewhere: bool,
    /// The position that the read requires.
    pub(in crate::pool) required: Lsn,
    /// Where it was when the session was bound.
    pub(in crate::pool) bound: Option<Lsn>,
    pub(in crate::pool) trail: &'a Trail,
    pub(in crate::pool) limits: ReplicaLimits,
    pub(in crate::pool) now: Time,
}

/// Whether a server may answer a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Judgement {
    Serve,
    /// It has to be asked where it is.
    Ask,
    /// The session has to be bound again: the name of its schema, or its key, may be another tenant's by now.
    Rebind,
    /// The read goes to the primary.
    Not(Shortfall),
}

/// Why a read was not answered by a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Shortfall {
    /// The primary is not known, or did not answer in time.
    NoPrimary,
    /// The replica is too far behind to be used at all.
    Lagging,
    /// The replica was not at the position in time.
    Behind,
    /// The replica has been promoted, follows another history than that of the primary, or its URL names another
    /// database.
    Unrelated,
    /// The replica gave no connection.
    Away,
    /// The tenant's binding cannot be used there.
    Unsuited,
    /// The token is of another history.
    Token,
}

impl Shortfall {
    /// Returns the reason in snake case, as used in metrics.
    pub(in crate::pool) fn as_str(self) -> &'static str {
        match self {
            Self::NoPrimary => "no_primary",
            Self::Lagging => "lagging",
            Self::Behind => "behind",
            Self::Unrelated => "unrelated",
            Self::Away => "away",
            Self::Unsuited => "unsuited",
            Self::Token => "token",
        }
    }
}

impl Case<'_> {
    /// Returns `true` if what the bind has found may have been given to another tenant since.
    fn is_outdated(&self) -> bool {
        let age = self.bound.and_then(|bound| self.trail.age(bound, self.now));
        age.is_none_or(|age| age >= FOUND_FOR)
    }

    fn lags(&self, newest: &Sample, lsn: Lsn) -> bool {
        let age = self.trail.age(lsn, self.now);
        lsn.behind(newest.lsn) > self.limits.bytes || age.is_none_or(|age| age > self.limits.time)
    }
}

/// Decides whether a server may answer a read.
///
/// What is known of its position is a lower bound, because replay does not go back. So it suffices
/// for [`Judgement::Serve`] however old it is, unless it is too old to tell that the server is within
/// the limits.
pub(in crate::pool) fn judge(case: Case<'_>) -> Judgement {
    let Some(newest) = case.trail.newest() else { return Judgement::Not(Shortfall::NoPrimary) };
    let Some(instance) = case.instance else { return Judgement::Ask };
    let or_ask = |shortfall| match case.is_fresh {
        true => Judgement::Not(shortfall),
        false => Judgement::Ask,
    };
    if !instance.in_recovery || instance.history.system != newest.history.system {
        return or_ask(Shortfall::Unrelated);
    }
    if instance.history != newest.history {
        // It follows the new primary a moment later.
        return or_ask(Shortfall::Unrelated);
    }
    if !case.is_elsewhere {
        match instance.database {
            None => return Judgement::Ask,
            Some(database) if database != newest.database => return or_ask(Shortfall::Unrelated),
            Some(_) => {}
        }
    }
    if case.lags(&newest, instance.lsn) {
        return or_ask(Shortfall::Lagging);
    }
    if instance.lsn < case.required {
        Judgement::Ask
    } else if case.is_outdated() {
        Judgement::Rebind
    } else {
        Judgement::Serve
    }
}

#[cfg(test)]
mod tests {
    use super::{super::lsn::History, *};

    const ONE: History = History { system: 7, timeline: 1 };
    const TWO: History = History { system: 7, timeline: 2 };
    const OTHER: History = History { system: 8, timeline: 1 };

    fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The primary is at 1,000 at the time 10 s, and was at 100 for each second before.
    fn trail() -> Trail {
        let mut trail = Trail::of(second(5));
        for nth in 1..=10 {
            let lsn = Lsn::new(nth * 100);
            trail.note(Sample { history: ONE, lsn, database: 5, asked: second(nth) });
        }
        trail
    }

    fn at(lsn: u64) -> Instance {
        Instance {
            started: 1,
            history: ONE,
            in_recovery: true,
            lsn: Lsn::new(lsn),
            database: Some(5),
            seen: second(10),
        }
    }

    fn decide(instance: impl Into<Option<Instance>>, is_fresh: bool, required: u64) -> Judgement {
        let (trail, instance) = (trail(), instance.into());
        let limits = ReplicaLimits { bytes: 450, time: second(5) };
        judge(Case { instance, is_fresh, required: Lsn::new(required), limits, ..case(&trail) })
    }

    /// A session on a replica that has everything.
    fn case(trail: &Trail) -> Case<'_> {
        Case {
            instance: Some(at(1000)),
            is_fresh: false,
            is_elsewhere: false,
            required: Lsn::new(0),
            bound: Some(Lsn::new(1000)),
            trail,
            limits: ReplicaLimits::default(),
            now: second(10),
        }
    }

    #[test]
    fn a_replica_that_has_the_position_serves_and_one_that_has_not_is_asked() {
        assert_eq!(decide(at(1000), false, 1000), Judgement::Serve);
        assert_eq!(decide(at(999), false, 999), Judgement::Serve);
        for is_fresh in [false, true] {
            assert_eq!(decide(at(999), is_fresh, 1000), Judgement::Ask, "it may get there in time");
        }
        assert_eq!(decide(None, false, 0), Judgement::Ask);
    }

    #[test]
    fn beyond_a_limit_it_serves_nothing() {
        assert_eq!(decide(at(550), true, 0), Judgement::Serve, "450 bytes, 5 s");
        assert_eq!(decide(at(549), true, 0), Judgement::Not(Shortfall::Lagging), "451 bytes");
        assert_eq!(decide(at(549), false, 0), Judgement::Ask);
        assert_eq!(decide(at(400), true, 0), Judgement::Not(Shortfall::Lagging), "6 s");
    }

    #[test]
    fn another_history_serves_nothing() {
        let not = Judgement::Not(Shortfall::Unrelated);
        for history in [TWO, OTHER] {
            let instance = Instance { history, ..at(2000) };
            assert_eq!(decide(instance, true, 0), not);
            assert_eq!(decide(instance, false, 0), Judgement::Ask);
        }
        assert_eq!(decide(Instance { in_recovery: false, ..at(2000) }, true, 0), not);
    }

    #[test]
    fn a_session_that_was_bound_too_long_before_is_bound_again() {
        let trail = trail();
        let case = |bound: Option<u64>| Case { bound: bound.map(Lsn::new), ..case(&trail) };
        assert_eq!(judge(case(Some(200))), Judgement::Serve, "8 s");
        for bound in [Some(199), Some(50), None] {
            assert_eq!(judge(case(bound)), Judgement::Rebind, "{bound:?}");
        }
    }

    #[test]
    fn without_a_primary_nothing_is_fresh() {
        let trail = Trail::of(second(5));
        let case = Case { is_fresh: true, ..case(&trail) };
        assert_eq!(judge(case), Judgement::Not(Shortfall::NoPrimary));
    }

    #[test]
    fn another_database_of_the_copy_serves_only_tenants_of_a_third_one() {
        let trail = trail();
        let case = |database, is_fresh, is_elsewhere| {
            let instance = Some(Instance { database, ..at(1000) });
            judge(Case { instance, is_fresh, is_elsewhere, ..case(&trail) })
        };
        for is_fresh in [false, true] {
            assert_eq!(case(Some(5), is_fresh, false), Judgement::Serve);
            assert_eq!(case(Some(6), is_fresh, true), Judgement::Serve);
            assert_eq!(case(None, is_fresh, true), Judgement::Serve);
            assert_eq!(case(None, is_fresh, false), Judgement::Ask);
        }
        assert_eq!(case(Some(6), false, false), Judgement::Ask);
        assert_eq!(case(Some(6), true, false), Judgement::Not(Shortfall::Unrelated));
    }
}
