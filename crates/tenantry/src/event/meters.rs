use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus::{Histogram, HistogramOpts, IntCounter};

use super::{RetryOf, upkeep::UpkeepMeters};
use crate::error::ErrorClass;

/// What is counted and timed where it happens. What the pool's own books say is not repeated here.
pub(crate) struct Meters {
    /// Nothing is timed until somebody collects.
    timed: AtomicBool,
    /// Where durations go beside the histograms.
    timings: OnceLock<Arc<dyn Timings>>,
    pub(crate) wait: Histogram,
    pub(crate) hold: Histogram,
    pub(crate) connect: Histogram,
    pub(crate) rebind: Histogram,
    pub(crate) query: Histogram,
    pub(crate) slow_queries: IntCounter,
    pub(crate) catalog_hits: IntCounter,
    pub(crate) catalog_misses: IntCounter,
    pub(crate) catalog_stale: IntCounter,
    pub(crate) hook_failures: IntCounter,
    pub(crate) events_dropped: IntCounter,
    pub(crate) upkeep: UpkeepMeters,
    retries: [AtomicU64; RetryOf::ALL.len()],
    errors: [AtomicU64; ErrorClass::ALL.len()],
}

/// Takes durations as they come.
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
            wait: histogram(
                "tenantry_acquire_wait_seconds",
                "Time until an acquire had its connection: 0 for one that was there",
            ),
            hold: histogram(
                "tenantry_connection_hold_seconds",
                "Time that a connection was leased for",
            ),
            connect: histogram(
                "tenantry_connect_seconds",
                "Time that opening a connection took, without attempts that failed",
            ),
            rebind: histogram(
                "tenantry_rebind_seconds",
                "Time that resetting a session and binding it to a tenant took",
            ),
            query: histogram(
                "tenantry_query_duration_seconds",
                "Time that a statement on a handle took",
            ),
            slow_queries: counter(
                "tenantry_slow_queries_total",
                "Statements on a handle that took as long as the threshold or longer",
            ),
            catalog_hits: counter("tenantry_catalog_hits_total", "Look-ups answered by the cache"),
            catalog_misses: counter(
                "tenantry_catalog_misses_total",
                "Look-ups that had to ask the catalog, or to wait for somebody who did",
            ),
            catalog_stale: counter(
                "tenantry_catalog_stale_total",
                "Look-ups answered by what was known before, because the catalog did not answer",
            ),
            hook_failures: counter(
                "tenantry_hook_failures_total",
                "Calls of hooks that failed or panicked",
            ),
            events_dropped: counter(
                "tenantry_events_dropped_total",
                "Events that were not told because a queue was full",
            ),
            upkeep: UpkeepMeters::new(),
            retries: Default::default(),
            errors: Default::default(),
        }
    }

    /// Says whether durations are of interest.
    pub(crate) fn is_timed(&self) -> bool {
        self.timed.load(Ordering::Relaxed)
    }

    /// Begins to time.
    pub(crate) fn start_timing(&self) {
        self.timed.store(true, Ordering::Relaxed);
    }

    /// Sends durations to somebody else, too. Only the first one to ask gets them.
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

    /// A schema has ended in a run of the migrator.
    pub(crate) fn migrated(&self, outcome: &'static str, took: Duration) {
        self.upkeep.migrations.with_label_values(&[outcome]).inc();
        if !matches!(outcome, "up_to_date" | "skipped" | "doubtful") {
            let histogram = &self.upkeep.migration;
            self.time(histogram, took, |timings| timings.migration(outcome, took));
        }
    }

    /// A tenant was created, or could not be.
    pub(crate) fn created(&self, outcome: &'static str, took: Duration) {
        self.upkeep.creations.with_label_values(&[outcome]).inc();
        let histogram = &self.upkeep.creation;
        self.time(histogram, took, |timings| timings.creation(outcome, took));
    }

    /// So many tenants are in these states.
    pub(crate) fn listed(&self, states: &[(&'static str, usize)]) {
        for (state, count) in states {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.upkeep.tenants.with_label_values(&[*state]).set(count);
        }
    }

    fn time(&self, histogram: &Histogram, took: Duration, also: impl FnOnce(&dyn Timings)) {
        if self.is_timed() {
            histogram.observe(took.as_secs_f64());
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

    /// What was tried again so far, by what it was.
    pub(crate) fn retries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = RetryOf::ALL.iter().zip(&self.retries);
        counts.map(|(of, count)| (of.as_str(), count.load(Ordering::Relaxed)))
    }

    /// What has failed so far, by class.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = ErrorClass::ALL.iter().zip(&self.errors);
        counts.map(|(class, count)| (class.as_str(), count.load(Ordering::Relaxed)))
    }
}

/// From a quarter of a millisecond to the five seconds that an acquire may take.
const BUCKETS: [f64; 14] =
    [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

fn histogram(name: &str, help: &str) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
    Histogram::with_opts(options).expect("name and buckets are constants that are valid")
}

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect("the name is a constant that is valid")
}

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
        assert_eq!(counts, (0..13).collect::<Vec<_>>());
        for of in RetryOf::ALL {
            meters.retried(of);
        }
        assert!(meters.retries().all(|(_, count)| count == 1));
    }
}
