use super::figures::{Histogram, Outcomes};

/// Where a read was answered: by a replica, or by the primary for a reason.
const ANSWERED: [&str; 9] = [
    "replica",
    "behind",
    "lagging",
    "away",
    "unrelated",
    "no_primary",
    "token",
    "unsuited",
    "conflict",
];

/// Metrics of reads that replicas may answer.
pub(crate) struct Reads {
    pub(crate) answered: Outcomes<9>,
    pub(crate) wait: Histogram<14>,
}

impl Reads {
    pub(super) fn new() -> Self {
        Self { answered: Outcomes::new(ANSWERED), wait: Histogram::new(BUCKETS) }
    }

    /// Counts a read.
    pub(crate) fn count(&self, answered: &'static str) {
        self.answered.inc(answered);
    }
}

/// From a twentieth of a millisecond to the 20 ms that a read waits at most, and beyond.
const BUCKETS: [f64; 14] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03,
    0.1,
];
