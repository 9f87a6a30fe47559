//! The queue of tenants, and when to stop.

/// The queue of tenants, and the results so far. `E` is the reason for an early stop, `R` the
/// result for a tenant.
pub(crate) struct Board<E, R> {
    next: usize,
    failures: usize,
    max_failures: Option<usize>,
    end: Option<E>,
    results: Vec<Option<R>>,
}

impl<E, R> Board<E, R> {
    pub(crate) fn new(total: usize, max_failures: Option<usize>) -> Self {
        let results = (0..total).map(|_| None).collect();
        Self { next: 0, failures: 0, max_failures, end: None, results }
    }

    /// Returns the place of the next tenant to start.
    pub(crate) fn next(&mut self) -> Option<usize> {
        if self.end.is_some() || self.next >= self.results.len() {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// Starts no more tenants. If all were started, nothing was stopped.
    pub(crate) fn stop(&mut self, end: E) {
        if self.next < self.results.len() {
            self.cut(end);
        }
    }

    /// Starts no more tenants, and discards the results of running ones.
    pub(crate) fn cut(&mut self, end: E) {
        self.end.get_or_insert(end);
    }

    /// Records the result for a tenant.
    pub(crate) fn note(&mut self, place: usize, result: R) {
        self.results[place] = Some(result);
    }

    /// Records a failure for a tenant, which may exceed the limit.
    pub(crate) fn note_failure(&mut self, place: usize, result: R, one_too_many: E) {
        self.failures += 1;
        if self.max_failures.is_some_and(|most| self.failures >= most) {
            self.stop(one_too_many);
        }
        self.note(place, result);
    }

    /// Returns the reason for an early stop, if any, and the result of every started tenant.
    pub(crate) fn into_results(self) -> (Option<E>, Vec<Option<R>>) {
        (self.end, self.results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_after_so_many_failures_unless_all_were_started() {
        let mut board = Board::new(3, Some(1));
        let (first, second) = (board.next().unwrap(), board.next().unwrap());
        board.note_failure(second, "failed", "too many");
        assert_eq!(board.next(), None);
        board.note(first, "skipped");
        let results = vec![Some("skipped"), Some("failed"), None];
        assert_eq!(board.into_results(), (Some("too many"), results));

        let mut board = Board::new(1, Some(1));
        board.next().unwrap();
        board.note_failure(0, "failed", "too many");
        board.stop("stopped");
        assert_eq!(board.into_results(), (None, vec![Some("failed")]));
        let mut board = Board::<_, ()>::new(1, None);
        board.next().unwrap();
        board.cut("cut");
        assert_eq!(board.into_results().0, Some("cut"));
    }
}
