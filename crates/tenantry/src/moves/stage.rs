//! The stages of a move, and the ways of copying.

use std::fmt;

use serde::Serialize;

/// The stage of a move, as it is recorded. A move in one of the first seven can be undone; from
/// [`Switched`](Self::Switched) on, it only goes forward.
///
/// ```text
/// planned ─▶ prepared ─▶ copying ─▶ catching_up ─▶ fencing ─▶ fenced ─▶ verified ─▶ switched ─▶ done
///                 └──── under the fence: nothing to copy before ────▲
///    any of these ─▶ undoing ─▶ reopened ─▶ undone
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MoveStage {
    /// The move is on record, and the tenant's state is `moving`: it is served, and cannot be migrated, renamed or
    /// dropped.
    Planned,
    /// Everything that could prevent the move was checked, and the structure was tried out on the target.
    Prepared,
    /// The rows are being copied while the tenant is served.
    Copying,
    /// Changes since the copy are being applied, or rows with logged keys are being copied again.
    CatchingUp,
    /// The tenant's state is `cutover`: requests wait. Its tables are being locked.
    Fencing,
    /// The schema on the source has another name, so that no process can write to it.
    Fenced,
    /// The target has everything, and its content was compared with the source's.
    Verified,
    /// The catalog names the target; the tenant is served there.
    Switched,
    /// The target was tidied up. The source's schema is kept for a while.
    Done,
    /// The move is being undone: the schema on the source gets its name back.
    Undoing,
    /// The tenant is served where it was. What was made on the target is still to be removed.
    Reopened,
    /// Nothing is left of the move.
    Undone,
}

impl MoveStage {
    /// All stages, in order.
    pub(crate) const ALL: [Self; 12] = [
        Self::Planned,
        Self::Prepared,
        Self::Copying,
        Self::CatchingUp,
        Self::Fencing,
        Self::Fenced,
        Self::Verified,
        Self::Switched,
        Self::Done,
        Self::Undoing,
        Self::Reopened,
        Self::Undone,
    ];

    /// Returns the name in the table and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Prepared => "prepared",
            Self::Copying => "copying",
            Self::CatchingUp => "catching_up",
            Self::Fencing => "fencing",
            Self::Fenced => "fenced",
            Self::Verified => "verified",
            Self::Switched => "switched",
            Self::Done => "done",
            Self::Undoing => "undoing",
            Self::Reopened => "reopened",
            Self::Undone => "undone",
        }
    }

    /// Returns the stage of this name.
    pub(super) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == word)
    }

    /// Returns `true` if nothing is left to do.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Undone)
    }

    /// Returns `true` if the tenant is served on the target.
    #[must_use]
    pub fn has_moved(self) -> bool {
        matches!(self, Self::Switched | Self::Done)
    }

    /// Returns `true` if the move can still be undone, and is not being undone.
    #[must_use]
    pub fn may_be_undone(self) -> bool {
        self < Self::Switched
    }
}

impl fmt::Display for MoveStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the rows of a tenant get to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MoveMethod {
    /// All rows are copied while the tenant's requests wait. It needs no setting of the servers and no special
    /// privilege; the requests wait for longer, the more rows there are.
    UnderFence,
    /// The rows are copied by logical replication while the tenant is served; requests wait for some milliseconds.
    Replication,
    /// The rows are copied while the tenant is served, and triggers log the keys of those that change meanwhile, which
    /// are copied again; requests wait for the last of them. For rows that leave, or get into, the tables of all
    /// tenants.
    ChangeLog,
}

impl MoveMethod {
    /// All.
    pub(crate) const ALL: [Self; 3] = [Self::UnderFence, Self::Replication, Self::ChangeLog];

    /// Returns the name in the table and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnderFence => "under_fence",
            Self::Replication => "replication",
            Self::ChangeLog => "change_log",
        }
    }

    /// Returns the way of this name.
    pub(super) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == word)
    }
}

impl fmt::Display for MoveMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnderFence => "a copy under the fence",
            Self::Replication => "logical replication",
            Self::ChangeLog => "a log of changes",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for stage in MoveStage::ALL {
            assert_eq!(MoveStage::named(stage.as_str()), Some(stage));
        }
        for method in MoveMethod::ALL {
            assert_eq!(MoveMethod::named(method.as_str()), Some(method));
        }
        assert_eq!(MoveStage::named(""), None);
    }

    #[test]
    fn what_can_be_undone_has_not_moved() {
        for stage in MoveStage::ALL {
            let kinds = [stage.may_be_undone(), stage.has_moved(), stage >= MoveStage::Undoing];
            assert_eq!(kinds.iter().filter(|is| **is).count(), 1, "{stage}");
        }
    }
}
