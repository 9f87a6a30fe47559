use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    RetryOf,
    figures::{Counter, Histogram},
    reads::Reads,
    upkeep::UpkeepMeters,
};
use crate::error::ErrorClass;

/// Metrics that are recorded as events happen. They do not duplicate the pool's own counters.
pub(crate) struct Meters {
    /// Durations are measured only once something collects them.
    timed: AtomicBool,
    /// Additional recipient of durations, beside the histograms.
    timings: OnceLock<Arc<dyn Timings>>,
    pub(crate) wait: Times,
    pub(crate) hold: Times,
    pub(crate) connect: Times,
    pub(crate) rebind: Times,
    pub(crate) query: Times,
    pub(crate) slow_queries: Counter,
    pub(crate) rate_limited: Counter,
    pub(crate) catalog_hits: Counter,
    pub(crate) catalog_misses: Counter,
    pub(crate) catalog_stale: Counter,
    pub(crate) hook_failures: Counter,
    pub(crate) events_dropped: Counter,
    pub(crate) upkeep: UpkeepMeters,
    pub(crate) reads: Reads,
    retries: [AtomicU64; RetryOf::ALL.len()],
    errors: [AtomicU64; ErrorClass::ALL.len()],
}

/// A histogram for one kind of duration.
pub(crate) type Times = Histogram<14>;

/// Receives durations as they are measured.
pub(crate) trait Timings: Send + Sync {
    fn wait(&self, took: Duration);
    fn hold(&self, took: Duration);
    fn connect(&self, took: Duration);
    fn query(&self, took: Duration);
    fn migration(&self, outcome: &'static str, took: Duration);
    fn creation(&self, outcome: &'static str, took: Duration);
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            timed: AtomicBool::new(false),
            timings: OnceLock::new(),
            wait: Histogram::new(BUCKETS),
            hold: Histogram::new(BUCKETS),
            connect: Histogram::new(BUCKETS),
            rebind: Histogram::new(BUCKETS),
            query: Histogram::new(BUCKETS),
            slow_queries: Counter::default(),
            rate_limited: Counter::default(),
            catalog_hits: Counter::default(),
            catalog_misses: Counter::default(),
            catalog_stale: Counter::default(),
            hook_failures: Counter::default(),
            events_dropped: Counter::default(),
            upkeep: UpkeepMeters::new(),
            reads: Reads::new(),
            retries: Default::default(),
            errors: Default::default(),
        }
    }

    /// Returns `true` if durations are measured.
    pub(crate) fn is_timed(&self) -> bool {
        self.timed.load(Ordering::Relaxed)
    }

    /// Starts measuring durations.
    pub(crate) fn start_timing(&self) {
        self.timed.store(true, Ordering::Relaxed);
    }

    /// Sends durations to an additional recipient. Only the first caller is accepted.
    #[cfg_attr(not(feature = "opentelemetry"), expect(dead_code, reason = "its only caller"))]
    pub(crate) fn send_to(&self, timings: Arc<dyn Timings>) -> bool {
        let first = self.timings.set(timings).is_ok();
        self.start_timing();
        first
    }

    pub(crate) fn waited(&self, took: Duration) {
        self.time(&self.wait, took, |timings| timings.wait(took));
    }

    pub(crate) fn held(&self, took: Duration) {
        self.time(&self.hold, took, |timings| timings.hold(took));
    }

    pub(crate) fn connected(&self, took: Duration) {
        self.time(&self.connect, took, |timings| timings.connect(took));
    }

    pub(crate) fn rebound(&self, took: Duration) {
        self.time(&self.rebind, took, |_| {});
    }

    pub(crate) fn queried(&self, took: Duration) {
        self.time(&self.query, took, |timings| timings.query(took));
    }

    /// Records the outcome of a schema in a migration run.
    pub(crate) fn migrated(&self, outcome: &'static str, took: Duration) {
        self.upkeep.migrations.inc(outcome);
        if !matches!(outcome, "up_to_date" | "skipped" | "doubtful") {
            let histogram = &self.upkeep.migration;
            self.time(histogram, took, |timings| timings.migration(outcome, took));
        }
    }

    /// Records the creation of a tenant, or its failure.
    pub(crate) fn created(&self, outcome: &'static str, took: Duration) {
        self.upkeep.creations.inc(outcome);
        let histogram = &self.upkeep.creation;
        self.time(histogram, took, |timings| timings.creation(outcome, took));
    }

    /// Records for how long a read has waited until a replica had what it needs.
    pub(crate) fn waited_for_replica(&self, took: Duration) {
        self.time(&self.reads.wait, took, |_| {});
    }

    /// Records the numbers of active and suspended tenants.
    pub(crate) fn listed(&self, active: usize, suspended: usize) {
        self.upkeep.listed(active, suspended);
    }

    fn time(&self, histogram: &Times, took: Duration, also: impl FnOnce(&dyn Timings)) {
        if self.is_timed() {
            histogram.observe(took);
            if let Some(timings) = self.timings.get() {
                also(&**timings);
            }
        }
    }

    pub(crate) fn retried(&self, of: RetryOf) {
        self.retries[of as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, class: ErrorClass) {
        self.errors[class as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of retries so far, by operation.
    pub(crate) fn retries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = RetryOf::ALL.iter().zip(&self.retries);
        counts.map(|(of, count)| (of.as_str(), count.load(Ordering::Relaxed)))
    }

    /// Returns the number of errors so far, by class.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = ErrorClass::ALL.iter().zip(&self.errors);
        counts.map(|(class, count)| (class.as_str(), count.load(Ordering::Relaxed)))
    }
}

/// From a quarter of a millisecond to five seconds, the default acquire timeout.
const BUCKETS: [f64; 14] =
    [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_class_and_retry_for_itself() {
        let meters = Meters::new();
        for (times, class) in ErrorClass::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| meters.failed(class));
        }
        let counts: Vec<_> = meters.errors().map(|(_, count)| count).collect();
        assert_eq!(counts, (0..).take(ErrorClass::ALL.len()).collect::<Vec<u64>>());
        for of in RetryOf::ALL {
            meters.retried(of);
        }
        assert!(meters.retries().all(|(_, count)| count == 1));
    }
}
