//! Progress of a move.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{MoveStage, options::OnProgress};
use crate::{clone::CloneProgress, tenant::TenantId};

/// Progress of a move, for [`MoveOptions::on_progress`](super::MoveOptions::on_progress).
///
/// `Display` writes one line: `fenced: rows: 3 of 20 tables, 12000 rows, orders`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MoveProgress<'a> {
    /// The tenant.
    pub tenant_id: &'a TenantId,
    /// The stage that is recorded.
    pub stage: MoveStage,
    /// Whether the work of the stage is done, and the next stage is about to be recorded.
    pub is_worked_off: bool,
    /// The progress of a copy, while there is one.
    pub copy: Option<&'a CloneProgress<'a>>,
    /// Bytes of the tenant's tables and indexes on the source.
    pub bytes_total: u64,
}

impl fmt::Display for MoveProgress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.stage)?;
        match self.copy {
            Some(copy) => write!(f, ": {copy}"),
            None if self.is_worked_off => f.write_str(" (done)"),
            None => Ok(()),
        }
    }
}

/// Calls the application's closure.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) on_progress: Option<Arc<OnProgress>>,
    pub(super) tenant_id: TenantId,
    pub(super) bytes_total: u64,
}

impl Teller {
    pub(super) fn tell(
        &self,
        stage: MoveStage,
        is_worked_off: bool,
        copy: Option<&CloneProgress<'_>>,
    ) {
        let Some(on_progress) = &self.on_progress else { return };
        let (tenant_id, bytes_total) = (&self.tenant_id, self.bytes_total);
        let progress = MoveProgress { tenant_id, stage, is_worked_off, copy, bytes_total };
        if catch_unwind(AssertUnwindSafe(|| on_progress(&progress))).is_err() {
            tracing::error!(target: "tenantry::hook", "the progress callback of a move panicked");
        }
    }
}
