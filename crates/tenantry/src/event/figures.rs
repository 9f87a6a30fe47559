//! Lock-free counters, gauges and histograms, in the form that a collector reads. They do not
//! allocate after their creation.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

/// A monotonic counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn inc(&self) {
        self.inc_by(1);
    }

    pub(crate) fn inc_by(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that can go up and down.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    pub(crate) fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, by: i64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter for each outcome. All exist from the start: a counter that first appears with its
/// first event hides that event from Prometheus' `rate`.
#[derive(Debug)]
pub(crate) struct Outcomes<const N: usize> {
    names: [&'static str; N],
    counts: [Counter; N],
}

impl<const N: usize> Outcomes<N> {
    pub(super) fn new(names: [&'static str; N]) -> Self {
        Self { names, counts: [const { Counter(AtomicU64::new(0)) }; N] }
    }

    pub(super) fn inc(&self, name: &str) {
        let index = self.names.iter().position(|known| *known == name);
        debug_assert!(index.is_some(), "{name} is not an outcome");
        index.into_iter().for_each(|index| self.counts[index].inc());
    }

    pub(crate) fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.names.into_iter().zip(self.counts.iter().map(Counter::get))
    }
}

/// A histogram of durations.
#[derive(Debug)]
pub(crate) struct Histogram<const N: usize> {
    /// The upper bound of each bucket, in seconds.
    bounds: [f64; N],
    buckets: [Counter; N],
    /// Number of durations above all bounds.
    longer: Counter,
    /// In nanoseconds.
    sum: Counter,
}

impl<const N: usize> Histogram<N> {
    pub(super) fn new(bounds: [f64; N]) -> Self {
        let buckets = [const { Counter(AtomicU64::new(0)) }; N];
        Self { bounds, buckets, longer: Counter::default(), sum: Counter::default() }
    }

    pub(super) fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let index = self.bounds.iter().position(|bound| seconds <= *bound);
        index.map_or(&self.longer, |index| &self.buckets[index]).inc();
        self.sum.inc_by(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Returns the cumulative count for each bound; the last entry is the total.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let counts = self.buckets.iter().chain([&self.longer]).map(Counter::get);
        let cumulative = counts.scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.bounds.into_iter().chain([f64::INFINITY]).zip(cumulative)
    }

    /// Returns the sum of all durations, in seconds.
    pub(crate) fn sum(&self) -> f64 {
        Duration::from_nanos(self.sum.get()).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_durations_by_their_bounds() {
        let histogram = Histogram::new([0.001, 0.01]);
        for micros in [0, 1_000, 1_001, 10_000, 20_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let counts: Vec<_> = histogram.cumulative().collect();
        assert_eq!(counts, [(0.001, 2), (0.01, 4), (f64::INFINITY, 5)]);
        assert!((histogram.sum() - 0.032_001).abs() < 1e-9);
    }
}
