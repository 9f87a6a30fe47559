//! Counts of masked values.

use super::{
    collector::Collector,
    leaf::Leaf,
    outcome::{Outcome, Unfit},
    row::Row,
};

/// How many values of a column were masked. Elements of arrays, fields of composites and JSON values count separately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Rows read.
    pub(crate) rows: u64,
    /// Fields that were null in the source.
    pub(crate) nulls: u64,
    /// Values that changed.
    pub(crate) masked: u64,
    /// Values that identify no one and stay: 0 under a hash, infinite dates, booleans in JSON.
    pub(crate) neutral: u64,
    /// Values equal to their mask, such as a constant that was there before. The report must list them.
    pub(crate) unchanged: u64,
}

impl Tally {
    /// Adds the counts of other rows of the column.
    pub(crate) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.nulls += other.nulls;
        self.masked += other.masked;
        self.neutral += other.neutral;
        self.unchanged += other.unchanged;
    }
}

/// Counts and collects the values of a column.
pub(super) struct Sink<'a> {
    pub(super) tally: &'a mut Tally,
    pub(super) collector: Option<&'a mut Collector>,
    /// The number of the column for the collector.
    pub(super) origin: u32,
}

impl Sink<'_> {
    /// Applies a mask and counts it.
    pub(super) fn apply(
        &mut self,
        leaf: &Leaf,
        value: &[u8],
        row: &Row<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, Unfit> {
        let outcome = leaf.mask(value, row, out)?;
        self.count(outcome);
        if outcome != Outcome::Neutral && leaf.is_provable() {
            // Trailing blanks are the padding of `character`.
            self.collect(value.trim_ascii_end());
        }
        Ok(outcome)
    }

    pub(super) fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Null | Outcome::Masked => self.tally.masked += 1,
            Outcome::Neutral => self.tally.neutral += 1,
            Outcome::Unchanged => self.tally.unchanged += 1,
        }
    }

    pub(super) fn collects(&self) -> bool {
        self.collector.is_some()
    }

    pub(super) fn collect(&mut self, value: &[u8]) {
        if let Some(collector) = &mut self.collector {
            collector.add(self.origin, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_of_several_connections_are_added() {
        let one = Tally { rows: 1, nulls: 2, masked: 3, neutral: 4, unchanged: 5 };
        let mut sum = one;
        sum.add(one);
        assert_eq!(sum, Tally { rows: 2, nulls: 4, masked: 6, neutral: 8, unchanged: 10 });
    }
}
