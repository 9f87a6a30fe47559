//! Progress of a move.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use super::{MoveMethod, MoveStage, options::OnProgress};
use crate::{clone::CloneProgress, tenant::TenantId};

/// Progress of a move, for [`MoveOptions::on_progress`](super::MoveOptions::on_progress).
///
/// `Display` writes one line: `fenced: rows: 3 of 20 tables, 12000 rows, orders`, or `catching_up: 4096 bytes behind`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MoveProgress<'a> {
    /// The tenant.
    pub tenant_id: &'a TenantId,
    /// The stage that is recorded.
    pub stage: MoveStage,
    /// Whether the work of the stage is done, and the next stage is about to be recorded.
    pub is_worked_off: bool,
    /// The progress of a copy, while there is one. Of a copy by logical replication, tables and bytes are known, and no
    /// rows.
    pub copy: Option<&'a CloneProgress<'a>>,
    /// How far the target is behind, while it catches up.
    pub behind: Option<MoveLag>,
    /// How the rows get to the target.
    pub method: MoveMethod,
    /// How long requests were estimated to wait, when the move was examined; `None` after a take-over.
    pub pause: Option<Duration>,
    /// Bytes of the tenant's tables and indexes on the source.
    pub bytes_total: u64,
}

impl fmt::Display for MoveProgress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.stage)?;
        match (self.copy, self.behind, self.pause) {
            (Some(copy), ..) => write!(f, ": {copy}"),
            (None, Some(behind), _) => write!(f, ": {behind} behind"),
            (None, None, Some(pause))
                if self.stage == MoveStage::Planned && !self.is_worked_off =>
            {
                write!(f, ": by {}; requests will wait for about {pause:.1?}", self.method)
            }
            _ if self.is_worked_off => f.write_str(" (done)"),
            _ => Ok(()),
        }
    }
}

/// What a target lacks that catches up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MoveLag {
    /// Bytes of the source's log, by logical replication.
    Bytes(u64),
    /// Rows that had changed at the last look, by a log of changes.
    Rows(u64),
}

impl fmt::Display for MoveLag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::Rows(rows) => write!(f, "{rows} rows"),
        }
    }
}

/// Calls the application's closure.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) on_progress: Option<Arc<OnProgress>>,
    pub(super) tenant_id: TenantId,
    pub(super) bytes_total: u64,
    pub(super) method: MoveMethod,
    pub(super) pause: Option<Duration>,
}

impl Teller {
    pub(super) fn tell(
        &self,
        stage: MoveStage,
        is_worked_off: bool,
        copy: Option<&CloneProgress<'_>>,
    ) {
        self.tell_all(stage, is_worked_off, (copy, None));
    }

    /// Tells how far a target is behind that catches up.
    pub(super) fn tell_behind(&self, behind: MoveLag) {
        self.tell_all(MoveStage::CatchingUp, false, (None, Some(behind)));
    }

    fn tell_all(
        &self,
        stage: MoveStage,
        is_worked_off: bool,
        (copy, behind): (Option<&CloneProgress<'_>>, Option<MoveLag>),
    ) {
        let Some(on_progress) = &self.on_progress else { return };
        let Self { tenant_id, bytes_total, method, pause, .. } = self;
        let (bytes_total, method, pause) = (*bytes_total, *method, *pause);
        let progress = MoveProgress {
            tenant_id,
            stage,
            is_worked_off,
            copy,
            behind,
            method,
            pause,
            bytes_total,
        };
        if catch_unwind(AssertUnwindSafe(|| on_progress(&progress))).is_err() {
            tracing::error!(target: "tenantry::hook", "the progress callback of a move panicked");
        }
    }
}
