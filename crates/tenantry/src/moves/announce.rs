//! Reports moves as events and metrics.

use std::{sync::Arc, time::Duration};

use super::{MoveRecord, ends::Ends};
use crate::{
    event::{Event, MoveStep},
    pool::Server,
};

/// Reports that a stage was recorded.
pub(super) fn tell(ends: &Ends, row: &MoveRecord, pause: Option<Duration>, error: Option<String>) {
    let server = if row.stage.has_moved() { &row.to } else { &row.from };
    ends.control.main().observer.tell(Event::Move(MoveStep {
        tenant_id: row.tenant_id.clone(),
        from: Arc::clone(&row.from),
        to: Arc::clone(&row.to),
        method: row.method.as_str(),
        stage: row.stage.as_str(),
        pause,
        error: error.map(Into::into),
        server: Some(Arc::clone(server)),
    }));
}

/// A move that this process works on, counted at the server that the tenant leaves. If dropped before its end, it is
/// counted as unfinished.
pub(super) struct InProgress {
    source: Arc<Server>,
    outcome: &'static str,
}

impl InProgress {
    pub(super) fn begin(ends: &Ends) -> Self {
        let source = Arc::clone(ends.source.server());
        source.observer.meters.upkeep.moves_in_progress.add(1);
        Self { source, outcome: "unfinished" }
    }

    /// Counts it as completed, or as undone.
    pub(super) fn end(mut self, has_moved: bool) {
        self.outcome = if has_moved { "moved" } else { "undone" };
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let upkeep = &self.source.observer.meters.upkeep;
        upkeep.moves_in_progress.add(-1);
        upkeep.moved(self.outcome);
    }
}
