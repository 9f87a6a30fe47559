//! Batch sizes of surveys.

use std::collections::VecDeque;

/// Maximum number of tenants per message.
const MOST: usize = 128;

/// Maximum size of a message, and the size of the reset per tenant, in bytes.
const LONGEST: usize = 512 * 1024;
const RESET: usize = 1024;

/// Minimum number of tenants that justify a second concurrent message.
const LEAST: usize = 16;

/// Batches of tenants that are queried together, by their places.
///
/// A failure ends the message, and the tenants after it have to be queried again. So batches get
/// smaller while tenants fail, down to one tenant at a time, which is as fast as without batches.
#[derive(Debug)]
pub(super) struct Batches {
    waiting: VecDeque<usize>,
    size: usize,
    most: usize,
}

impl Batches {
    /// Creates batches for this many workers, and for a query of this many bytes.
    pub(super) fn new(waiting: VecDeque<usize>, workers: usize, query: usize) -> Self {
        let most = (LONGEST / query.saturating_add(RESET)).min(MOST);
        let size = waiting.len().div_ceil(workers.max(1)).max(LEAST).min(most);
        Self { waiting, size, most }
    }

    /// Returns the next batch.
    pub(super) fn next(&mut self) -> Option<Vec<usize>> {
        if self.size < 2 || self.waiting.is_empty() {
            return None;
        }
        let most = self.size.min(self.waiting.len());
        Some(self.waiting.drain(..most).collect())
    }

    /// Records that a whole batch has answered.
    pub(super) fn succeeded(&mut self) {
        self.size = (self.size * 2).min(self.most);
    }

    /// Records a failure or an unusable answer in a batch, and puts back the tenants that were not
    /// queried.
    pub(super) fn failed(&mut self, unasked: &[usize]) {
        self.size /= 2;
        for place in unasked.iter().rev() {
            self.waiting.push_front(*place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_get_smaller_while_tenants_fail_and_end_when_each_does() {
        let mut batches = Batches::new((0..500).collect(), 2, 50);
        let first = batches.next().unwrap();
        assert_eq!((first.len(), first[0]), (MOST, 0));
        batches.failed(&first[3..]);
        let second = batches.next().unwrap();
        assert_eq!((second.len(), second[0]), (MOST / 2, 3));
        batches.succeeded();
        assert_eq!(batches.next().unwrap().len(), MOST);

        let mut batches = Batches::new((0..500).collect(), 2, 50);
        let mut asked = 0;
        while let Some(batch) = batches.next() {
            asked += 1;
            batches.failed(&batch[1..]);
        }
        assert_eq!(asked, 7, "128, 64, 32, 16, 8, 4, 2");
        assert!(Batches::new(VecDeque::new(), 2, 50).next().is_none());
        assert_eq!(Batches::new((0..20).collect(), 2, 50).next().unwrap().len(), LEAST);
        assert_eq!(Batches::new((0..500).collect(), 2, 50_000).next().unwrap().len(), 10);
        assert!(Batches::new((0..500).collect(), 2, 1_000_000).next().is_none());
    }
}
