//! Who is next, and when to stop.

use std::time::Duration;

use super::{FanOutEnd, FanOutOutcome};

/// Who is next, and what has come of those before.
pub(super) struct Board {
    next: usize,
    failures: usize,
    max_failures: Option<usize>,
    end: Option<FanOutEnd>,
    results: Vec<Option<(FanOutOutcome, Duration)>>,
}

impl Board {
    pub(super) fn new(total: usize, max_failures: Option<usize>) -> Self {
        let results = (0..total).map(|_| None).collect();
        Self { next: 0, failures: 0, max_failures, end: None, results }
    }

    /// Returns the place of the next tenant to start.
    pub(super) fn next(&mut self) -> Option<usize> {
        if self.end.is_some() || self.next >= self.results.len() {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// Starts no more. Where all were started, nothing was stopped, unless nobody hears of what is still running.
    pub(super) fn stop(&mut self, end: FanOutEnd) {
        if self.next < self.results.len() || end == FanOutEnd::ConsumerEnded {
            self.end.get_or_insert(end);
        }
    }

    /// Notes how it ended for a tenant.
    pub(super) fn note(&mut self, place: usize, outcome: FanOutOutcome, took: Duration) {
        if let FanOutOutcome::Failed { .. } = &outcome {
            self.failures += 1;
            if self.max_failures.is_some_and(|most| self.failures >= most) {
                self.stop(FanOutEnd::MaxFailures);
            }
        }
        self.results[place] = Some((outcome, took));
    }

    /// Returns how it ended as a whole, and for every tenant.
    pub(super) fn into_results(self) -> (FanOutEnd, Vec<(FanOutOutcome, Duration)>) {
        let not_started = (FanOutOutcome::NotStarted, Duration::ZERO);
        let results = self.results.into_iter();
        let results = results.map(|result| result.unwrap_or_else(|| not_started.clone()));
        (self.end.unwrap_or(FanOutEnd::Completed), results.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fan_out::FanOutFailure;

    fn failed() -> FanOutOutcome {
        let message = "x".to_owned();
        let error = FanOutFailure { sqlstate: None, message, detail: None, hint: None };
        FanOutOutcome::Failed { error, rows: 0 }
    }

    #[test]
    fn stops_after_so_many_failures_unless_all_were_started() {
        let mut board = Board::new(3, Some(1));
        let (first, second) = (board.next().unwrap(), board.next().unwrap());
        board.note(second, failed(), Duration::ZERO);
        assert_eq!(board.next(), None);
        board.note(first, FanOutOutcome::Skipped, Duration::ZERO);
        let (end, results) = board.into_results();
        let outcomes: Vec<_> = results.iter().map(|(outcome, _)| outcome.as_str()).collect();
        assert_eq!(
            (end, &outcomes[..]),
            (FanOutEnd::MaxFailures, &["skipped", "failed", "not_started"][..])
        );

        let mut board = Board::new(1, Some(1));
        board.next().unwrap();
        board.note(0, failed(), Duration::ZERO);
        board.stop(FanOutEnd::Stopped);
        assert_eq!(board.into_results().0, FanOutEnd::Completed);
        let mut board = Board::new(1, None);
        board.next().unwrap();
        board.stop(FanOutEnd::ConsumerEnded);
        assert_eq!(board.into_results().0, FanOutEnd::ConsumerEnded);
    }
}
