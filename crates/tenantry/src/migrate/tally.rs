//! The results of a run so far, on all servers, and whether it goes on.

use super::{End, FailureReason, OnFailure, Outcome};

/// Counts the results of a run, and stops it.
#[derive(Debug)]
pub(super) struct Tally {
    stop: Option<End>,
    on_failure: OnFailure,
    error_budget: Option<usize>,
    failed: usize,
    done: usize,
}

/// The servers that a failure says something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Concerns {
    /// All of them: it is about the main server.
    All,
    /// A further one.
    One,
}

impl Tally {
    pub(super) fn new(on_failure: OnFailure, error_budget: Option<usize>) -> Self {
        Self { stop: None, on_failure, error_budget, failed: 0, done: 0 }
    }

    /// Records the result of a schema. Returns how many have ended.
    pub(super) fn ended(&mut self, outcome: &Outcome, concerns: Concerns) -> usize {
        self.done += 1;
        if let Outcome::Failed { error } = outcome {
            self.failed += 1;
            if error.reason == FailureReason::ReadOnly && concerns == Concerns::All {
                // It would fail in the same way for all others.
                self.stop(End::ReadOnly);
            } else if error.reason == FailureReason::ClusterUnavailable && concerns == Concerns::All
            {
                // All nodes take part in each change of a schema.
                self.stop(End::ClusterUnavailable);
            } else if self.on_failure == OnFailure::Abort {
                self.stop(End::Aborted);
            } else if self.error_budget.is_some_and(|budget| self.failed > budget) {
                self.stop(End::OverBudget);
            }
        }
        self.done
    }

    /// Stops starting schemas. The first reason is kept.
    pub(super) fn stop(&mut self, end: End) {
        self.stop.get_or_insert(end);
    }

    pub(super) fn stopped(&self) -> Option<End> {
        self.stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::Failure;

    fn failed(reason: FailureReason) -> Outcome {
        Outcome::Failed { error: Failure::new(reason, "no") }
    }

    #[test]
    fn stops_at_the_first_failure_or_after_the_budget() {
        for (on_failure, budget, failures, end) in [
            (OnFailure::Continue, None, 100, None),
            (OnFailure::Abort, Some(5), 1, Some(End::Aborted)),
            (OnFailure::Continue, Some(1), 1, None),
            (OnFailure::Continue, Some(1), 2, Some(End::OverBudget)),
            (OnFailure::Continue, Some(0), 1, Some(End::OverBudget)),
        ] {
            let mut tally = Tally::new(on_failure, budget);
            for _ in 0..failures {
                tally.ended(&failed(FailureReason::Statement), Concerns::All);
            }
            assert_eq!(tally.stopped(), end, "{on_failure:?} {budget:?}");
        }
    }

    #[test]
    fn a_further_server_that_is_read_only_stops_no_other() {
        let mut tally = Tally::new(OnFailure::Continue, None);
        tally.ended(&failed(FailureReason::ReadOnly), Concerns::One);
        assert_eq!(tally.stopped(), None);
        tally.ended(&failed(FailureReason::ReadOnly), Concerns::All);
        assert_eq!(tally.stopped(), Some(End::ReadOnly));
    }

    #[test]
    fn a_cluster_that_lacks_a_node_stops_the_run_unless_it_is_a_further_server() {
        let mut tally = Tally::new(OnFailure::Continue, None);
        tally.ended(&failed(FailureReason::ClusterUnavailable), Concerns::One);
        assert_eq!(tally.stopped(), None);
        tally.ended(&failed(FailureReason::ClusterUnavailable), Concerns::All);
        assert_eq!(tally.stopped(), Some(End::ClusterUnavailable));
    }

    #[test]
    fn the_first_reason_to_stop_stays() {
        let mut tally = Tally::new(OnFailure::Abort, None);
        tally.stop(End::Stopped);
        tally.ended(&failed(FailureReason::Statement), Concerns::All);
        assert_eq!(tally.stopped(), Some(End::Stopped));
    }
}
