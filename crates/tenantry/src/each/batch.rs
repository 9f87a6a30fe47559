//! How many tenants are asked together.

use std::collections::VecDeque;

/// How many tenants are asked with one message at most.
const MOST: usize = 128;

/// How long a message may be, in bytes, and how much of that the reset for each tenant takes.
const LONGEST: usize = 512 * 1024;
const RESET: usize = 1024;

/// How many tenants are worth a second message beside the first.
const LEAST: usize = 16;

/// Tenants that are to be asked together, by their places.
///
/// One that fails ends the message, and those behind it have to be asked again. So the batches get smaller while
/// tenants fail, and once one tenant at a time is left, each is asked by itself, as quickly as without batches.
#[derive(Debug)]
pub(super) struct Batches {
    waiting: VecDeque<usize>,
    size: usize,
    most: usize,
}

impl Batches {
    /// Makes batches for so many workers, and for a query of so many bytes.
    pub(super) fn new(waiting: VecDeque<usize>, workers: usize, query: usize) -> Self {
        let most = (LONGEST / query.saturating_add(RESET)).min(MOST);
        let size = waiting.len().div_ceil(workers.max(1)).max(LEAST).min(most);
        Self { waiting, size, most }
    }

    /// Returns whom to ask next.
    pub(super) fn next(&mut self) -> Option<Vec<usize>> {
        if self.size < 2 || self.waiting.is_empty() {
            return None;
        }
        let most = self.size.min(self.waiting.len());
        Some(self.waiting.drain(..most).collect())
    }

    /// Notes that all of a batch have answered.
    pub(super) fn succeeded(&mut self) {
        self.size = (self.size * 2).min(self.most);
    }

    /// Notes that one has failed, or has given an answer that cannot be used, and puts those back who were not asked.
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
