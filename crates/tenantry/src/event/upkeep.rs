//! Metrics of migrations and provisioning.

use std::sync::atomic::{AtomicBool, Ordering};

use super::figures::{Gauge, Histogram, Outcomes};

/// Outcomes of a schema in a migration run.
const MIGRATED: [&str; 8] =
    ["migrated", "reverted", "marked", "forgotten", "up_to_date", "failed", "skipped", "doubtful"];

/// Outcomes of a tenant's creation.
const CREATED: [&str; 9] =
    ["at_once", "in_steps", "spare", "template", "rows", "resumed", "clone", "import", "failed"];

/// How a move ended in this process: it was completed or undone, or is left to a take-over.
const MOVED: [&str; 3] = ["moved", "undone", "unfinished"];

/// Metrics of operations on whole tenants. Values that need a query are from the last time another
/// operation ran it: no metric costs a statement.
pub(crate) struct UpkeepMeters {
    pub(crate) migrations: Outcomes<8>,
    pub(crate) migration: Histogram<14>,
    pub(crate) creations: Outcomes<9>,
    pub(crate) creation: Histogram<14>,
    pub(crate) moves: Outcomes<3>,
    pub(crate) moves_in_progress: Gauge,
    has_listed: AtomicBool,
    active: Gauge,
    suspended: Gauge,
    pub(crate) spares: Gauge,
    pub(crate) drifted: Gauge,
}

impl UpkeepMeters {
    pub(super) fn new() -> Self {
        Self {
            migrations: Outcomes::new(MIGRATED),
            migration: Histogram::new(BUCKETS),
            creations: Outcomes::new(CREATED),
            creation: Histogram::new(BUCKETS),
            moves: Outcomes::new(MOVED),
            moves_in_progress: Gauge::default(),
            has_listed: AtomicBool::new(false),
            active: Gauge::default(),
            suspended: Gauge::default(),
            spares: Gauge::default(),
            drifted: Gauge::default(),
        }
    }

    /// Records the end of a move.
    pub(crate) fn moved(&self, outcome: &'static str) {
        self.moves.inc(outcome);
    }

    /// Returns the number of moves under way.
    pub(crate) fn moving(&self) -> usize {
        usize::try_from(self.moves_in_progress.get()).unwrap_or_default()
    }

    /// Records how many tenants are active and suspended.
    pub(super) fn listed(&self, active: usize, suspended: usize) {
        let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.active.set(signed(active));
        self.suspended.set(signed(suspended));
        self.has_listed.store(true, Ordering::Release);
    }

    /// Returns the number of tenants by state, if they have been listed.
    pub(crate) fn tenants(&self) -> Option<[(&'static str, u64); 2]> {
        let states = [("active", &self.active), ("suspended", &self.suspended)];
        let count = |gauge: &Gauge| u64::try_from(gauge.get()).unwrap_or_default();
        let is_known = self.has_listed.load(Ordering::Acquire);
        is_known.then(|| states.map(|(state, gauge)| (state, count(gauge))))
    }

    pub(crate) fn spares(&self) -> usize {
        usize::try_from(self.spares.get()).unwrap_or_default()
    }

    pub(crate) fn drifted(&self) -> usize {
        usize::try_from(self.drifted.get()).unwrap_or_default()
    }
}

/// From five milliseconds to ten minutes.
const BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 600.0];
