//! The state machine of a move: which work a stage needs, and which stage follows it. Pure.
//!
//! A mover repeats: do the [work](work) of the recorded stage, then record the [next](next) stage. Recording is one
//! transaction on the control server. It changes the row of the move on the condition that the stage, the owner and
//! the attempt are the expected ones, and writes the [change of the catalog](change) that belongs to the transition.
//! So of two movers, one goes on and the other one stops; and a move is either switched or undone.
//!
//! A mover that was paused can still send the statements of its step. Each transaction that it runs on the source or
//! the target therefore locks the row of the move in a table there, which contains the number of the latest attempt,
//! and stops unless that is its own. A mover that takes over raises this number there before it does anything else. What
//! replication needs cannot be created in such a transaction, so the row is looked at afterwards.

use super::stage::{MoveMethod, MoveStage};

/// What a stage needs before the next one can be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Work {
    /// Raise the number of the attempt, and prepare the target: its database, and tables for rows.
    Check,
    /// Lock the tables against changes of their structure and against vacuum, which disturbs no request. Tables of all
    /// tenants are only read.
    Hold,
    /// Create the structure on the target and start replication, or begin to log changes.
    StartCopy,
    /// Wait until the rows are copied, or copy them.
    AwaitCopy,
    /// Let the target catch up; then as [`Hold`](Self::Hold).
    CatchUp,
    /// Lock the tables and rename the schema on the source, or create triggers that refuse the tenant's rows.
    Fence,
    /// Bring what is missing to the target, and compare.
    Fill,
    /// Nothing: the transition is all.
    Nothing,
    /// Tidy up the target.
    Finish,
    /// Give the schema on the source its name back, or let the tenant's rows pass.
    Restore,
    /// Remove what was made on the target.
    CleanUp,
}

/// How a work has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Ended {
    Well,
    /// Others hold locks that it needs. The number of tries includes this one.
    Blocked {
        tries: u32,
        limit: u32,
    },
    /// It failed, or the move was cancelled.
    Badly,
}

/// What a transition changes in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Change {
    /// The state becomes `cutover`: requests wait.
    CloseGate,
    /// The state is `moving` again: requests are served.
    OpenGate,
    /// The tenant is at the target, and active.
    Place,
    /// The tenant is where it was, and active.
    GiveUp,
}

/// Returns the work of a stage; `None` if the move is over.
pub(super) fn work(stage: MoveStage, method: MoveMethod) -> Option<Work> {
    Some(match (stage, method) {
        (MoveStage::Planned, _) => Work::Check,
        (MoveStage::Prepared, MoveMethod::UnderFence) => Work::Hold,
        (MoveStage::Prepared, MoveMethod::Replication | MoveMethod::ChangeLog) => Work::StartCopy,
        (MoveStage::Copying, _) => Work::AwaitCopy,
        (MoveStage::CatchingUp, _) => Work::CatchUp,
        (MoveStage::Fencing, _) => Work::Fence,
        (MoveStage::Fenced, _) => Work::Fill,
        (MoveStage::Verified, _) => Work::Nothing,
        (MoveStage::Switched, _) => Work::Finish,
        (MoveStage::Undoing, _) => Work::Restore,
        (MoveStage::Reopened, _) => Work::CleanUp,
        (MoveStage::Done | MoveStage::Undone, _) => return None,
    })
}

/// Returns the stage that follows.
///
/// The same stage means that its work has to be done again: from [`Switched`](MoveStage::Switched) and
/// [`Undoing`](MoveStage::Undoing) there is no other way.
pub(super) fn next(stage: MoveStage, method: MoveMethod, ended: Ended) -> MoveStage {
    use MoveStage::{
        CatchingUp, Copying, Done, Fenced, Fencing, Planned, Prepared, Reopened, Switched, Undoing,
        Undone, Verified,
    };
    match (stage, ended) {
        (Done | Undone, _) => stage,
        (Switched | Undoing | Reopened, Ended::Badly | Ended::Blocked { .. }) => stage,
        (_, Ended::Badly) => Undoing,
        (_, Ended::Blocked { tries, limit }) if tries >= limit => Undoing,
        (Fencing, Ended::Blocked { .. }) => before_the_gate(method),
        (_, Ended::Blocked { .. }) => stage,
        (Planned, Ended::Well) => Prepared,
        (Prepared, Ended::Well) => match method {
            MoveMethod::UnderFence => Fencing,
            MoveMethod::Replication | MoveMethod::ChangeLog => Copying,
        },
        (Copying, Ended::Well) => CatchingUp,
        (CatchingUp, Ended::Well) => Fencing,
        (Fencing, Ended::Well) => Fenced,
        (Fenced, Ended::Well) => Verified,
        (Verified, Ended::Well) => Switched,
        (Switched, Ended::Well) => Done,
        (Undoing, Ended::Well) => Reopened,
        (Reopened, Ended::Well) => Undone,
    }
}

/// Returns the last stage in which requests are served.
fn before_the_gate(method: MoveMethod) -> MoveStage {
    match method {
        MoveMethod::UnderFence => MoveStage::Prepared,
        MoveMethod::Replication | MoveMethod::ChangeLog => MoveStage::CatchingUp,
    }
}

/// Returns how the work of a stage has ended for a mover that takes it over from another one.
///
/// Requests have waited since that one was heard of, so the move is undone, which takes a moment, unless the target is
/// complete. `None` if the work can be repeated.
pub(super) fn taken_over(stage: MoveStage) -> Option<Ended> {
    match stage {
        MoveStage::Fencing | MoveStage::Fenced => Some(Ended::Badly),
        _ => None,
    }
}

/// Returns the change of the catalog that belongs to a transition.
pub(super) fn change(from: MoveStage, to: MoveStage) -> Option<Change> {
    use MoveStage::{Fencing, Reopened, Switched};
    match (from, to) {
        (_, Fencing) => Some(Change::CloseGate),
        (_, Switched) => Some(Change::Place),
        (_, Reopened) => Some(Change::GiveUp),
        (Fencing, to) if to < Fencing => Some(Change::OpenGate),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 3;

    fn all_ends() -> [Ended; 4] {
        let blocked = |tries| Ended::Blocked { tries, limit: LIMIT };
        [Ended::Well, blocked(1), blocked(LIMIT), Ended::Badly]
    }

    /// A move in which everything succeeds from a stage on.
    fn smoothly(mut stage: MoveStage, method: MoveMethod) -> Vec<MoveStage> {
        let mut path = vec![stage];
        while work(stage, method).is_some() {
            stage = next(stage, method, Ended::Well);
            path.push(stage);
        }
        path
    }

    #[test]
    fn the_way_of_each_method() {
        use MoveStage::*;
        assert_eq!(
            smoothly(Planned, MoveMethod::UnderFence),
            [Planned, Prepared, Fencing, Fenced, Verified, Switched, Done]
        );
        for method in [MoveMethod::Replication, MoveMethod::ChangeLog] {
            assert_eq!(
                smoothly(Planned, method),
                [Planned, Prepared, Copying, CatchingUp, Fencing, Fenced, Verified, Switched, Done]
            );
        }
        assert_eq!(smoothly(Undoing, MoveMethod::UnderFence), [Undoing, Reopened, Undone]);
    }

    #[test]
    fn each_stage_ends_in_done_or_undone_whatever_fails() {
        for method in MoveMethod::ALL {
            for stage in MoveStage::ALL {
                let last = *smoothly(stage, method).last().expect("it has the first");
                assert_eq!(last == MoveStage::Done, stage < MoveStage::Undoing, "{stage}");
                for ended in all_ends() {
                    let after = next(stage, method, ended);
                    assert!(
                        after >= stage || (stage == MoveStage::Fencing && ended != Ended::Badly),
                        "{stage} {ended:?}"
                    );
                    if stage.has_moved() {
                        assert!(after.has_moved(), "{stage} {ended:?}");
                    }
                    if stage >= MoveStage::Undoing {
                        assert!(after >= MoveStage::Undoing, "{stage} {ended:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_a_verified_target_is_switched_to() {
        for method in MoveMethod::ALL {
            for stage in MoveStage::ALL {
                for ended in all_ends() {
                    let after = next(stage, method, ended);
                    if after == MoveStage::Switched && stage != after {
                        assert_eq!((stage, ended), (MoveStage::Verified, Ended::Well));
                    }
                }
            }
        }
    }

    #[test]
    fn the_gate_opens_before_each_new_try() {
        for method in MoveMethod::ALL {
            let blocked = Ended::Blocked { tries: 1, limit: LIMIT };
            let back = next(MoveStage::Fencing, method, blocked);
            assert!(back < MoveStage::Fencing);
            assert_eq!(change(MoveStage::Fencing, back), Some(Change::OpenGate));
            assert_ne!(next(back, method, Ended::Well), MoveStage::Copying);
            let last = Ended::Blocked { tries: LIMIT, limit: LIMIT };
            assert_eq!(next(MoveStage::Fencing, method, last), MoveStage::Undoing);
        }
    }

    #[test]
    fn a_fence_of_another_mover_is_undone() {
        for stage in MoveStage::ALL {
            let waits = matches!(stage, MoveStage::Fencing | MoveStage::Fenced);
            assert_eq!(taken_over(stage), waits.then_some(Ended::Badly), "{stage}");
        }
    }
}
