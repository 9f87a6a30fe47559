//! How many tenants are asked together.

use std::collections::VecDeque;

/// How many tenants are asked with one message at most: some 120 kB of text.
const MOST: usize = 128;

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
}

impl Batches {
    /// Makes batches for so many workers.
    pub(super) fn new(waiting: VecDeque<usize>, workers: usize) -> Self {
        let size = waiting.len().div_ceil(workers.max(1)).clamp(LEAST, MOST);
        Self { waiting, size }
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
        self.size = (self.size * 2).min(MOST);
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
        let mut batches = Batches::new((0..500).collect(), 2);
        let first = batches.next().unwrap();
        assert_eq!((first.len(), first[0]), (MOST, 0));
        batches.failed(&first[3..]);
        let second = batches.next().unwrap();
        assert_eq!((second.len(), second[0]), (MOST / 2, 3));
        batches.succeeded();
        assert_eq!(batches.next().unwrap().len(), MOST);

        let mut batches = Batches::new((0..500).collect(), 2);
        let mut asked = 0;
        while let Some(batch) = batches.next() {
            asked += 1;
            batches.failed(&batch[1..]);
        }
        assert_eq!(asked, 7, "128, 64, 32, 16, 8, 4, 2");
        assert!(Batches::new(VecDeque::new(), 2).next().is_none());
        assert_eq!(Batches::new((0..20).collect(), 2).next().unwrap().len(), LEAST);
    }
}
