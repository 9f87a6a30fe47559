//! Bindings that last one transaction, on connections to a pooler in transaction mode.
//!
//! Behind such a pooler, a connection has no session of its own: the next transaction can run in
//! another one, and other clients use it in between. So the connection is bound to no tenant. Each
//! lease of it is one transaction, whose first string also binds it, with settings that end with it.
//! Nothing that was set before is relied on.

mod modes;
mod probe;
mod refusal;
mod sql;

use std::sync::{Arc, Weak};

use tokio::time::Instant;

pub(crate) use self::modes::Begin;
pub(super) use self::{
    probe::examine,
    refusal::{Settled, explain, over, setting_without_effect},
    sql::{
        BeginRow, BeginTerms, Traces, begin_sql, commit_handed_out_sql, commit_sql, is_echo,
        require_sql, roll_back_handed_out_sql, rollback_sql, says_over,
    },
};
use super::occupant::Occupant;

/// The state of a connection that is bound for one transaction at a time.
#[derive(Debug)]
pub(super) struct Fleeting {
    /// `true` if the pooler keeps the prepared statements of its clients apart.
    pub(super) tracks_statements: bool,
    /// The transaction that may be open.
    pub(super) open: Option<Open>,
    /// The last occupant: sqlx knows the types of its schema by name.
    pub(super) last: Weak<Occupant>,
    /// Number of changes to the tables of the last occupant.
    changes: u32,
    /// When the schema of the last occupant was seen to have its name.
    pub(super) seen: Option<Instant>,
}

/// A transaction that may be open.
#[derive(Debug)]
pub(super) enum Open {
    /// It is being begun or ended.
    Unknown,
    Begun(Begun),
    /// It was committed. The empty one that sqlx counts may be open.
    Committed,
    /// It was rolled back. The empty one that sqlx counts may be open.
    RolledBack,
}

#[derive(Debug)]
pub(super) struct Begun {
    /// What identifies it in its session.
    pub(super) mark: Box<str>,
    /// `true` if its statements may have changed more than data.
    pub(super) leaves_traces: bool,
}

impl Fleeting {
    pub(super) fn new(tracks_statements: bool) -> Self {
        Self { tracks_statements, open: None, last: Weak::new(), changes: 0, seen: None }
    }

    /// Returns `true` if sqlx knows no types of other tables than the present ones of the occupant.
    pub(super) fn serves(&self, occupant: &Arc<Occupant>) -> bool {
        std::ptr::eq(self.last.as_ptr(), Arc::as_ptr(occupant))
            && self.changes == occupant.changes()
    }

    /// Records whom it serves from now on, whose schema it has not seen.
    pub(super) fn serve(&mut self, occupant: &Arc<Occupant>) {
        (self.last, self.changes, self.seen) = (Arc::downgrade(occupant), occupant.changes(), None);
    }

    /// Forgets whom it has served: its user may have exchanged it.
    pub(super) fn forget(&mut self) {
        (self.last, self.seen) = (Weak::new(), None);
    }
}
