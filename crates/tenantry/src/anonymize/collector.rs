//! Source values of masked columns, kept to prove that none is in the clone.

use std::collections::HashMap;

use super::finder::{Finder, MIN_LENGTH};

/// The most bytes of a value that are kept. What is found of a longer one is its beginning.
const MAX_LENGTH: usize = 256;

/// Different source values of six and more characters, each with the column that it was first seen in.
///
/// Memory is bounded: when there is no more room, half of the values are forgotten, chosen by their hash, and from then on
/// half of the new ones are not taken, and so on. The values that are kept are a fair sample of all.
#[derive(Debug)]
pub(crate) struct Collector {
    values: HashMap<Box<[u8]>, u32>,
    bytes: usize,
    max_bytes: usize,
    /// A value is kept if so many bits of its hash are 0.
    level: u32,
}

/// What a value costs besides its bytes: the entry of the map, and an allocation.
const OVERHEAD: usize = 48;

impl Collector {
    /// Keeps values up to about so many bytes of memory.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { values: HashMap::new(), bytes: 0, max_bytes, level: 0 }
    }

    /// Takes a value of a column, which is known by a number.
    pub(crate) fn add(&mut self, origin: u32, value: &[u8]) {
        if value.len() < MIN_LENGTH || is_short(value) {
            return;
        }
        let value = beginning(value);
        if !self.takes(value) || self.values.contains_key(value) {
            return;
        }
        self.bytes += value.len() + OVERHEAD;
        self.values.insert(value.into(), origin);
        while self.bytes > self.max_bytes {
            self.level += 1;
            let mut values = std::mem::take(&mut self.values);
            values.retain(|value, _| self.takes(value));
            self.bytes = values.keys().map(|value| value.len() + OVERHEAD).sum();
            self.values = values;
        }
    }

    /// Takes the values of another collector, such as that of another connection.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.level = self.level.max(other.level);
        let level = self.level;
        self.values.retain(|value, _| takes(level, value));
        self.bytes = self.values.keys().map(|value| value.len() + OVERHEAD).sum();
        for (value, origin) in other.values {
            self.add(origin, &value);
        }
    }

    /// Returns how many values are kept.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns what share of all values is kept: 1 if all are, a half, a quarter and so on. Below 1 the proof is one of a
    /// sample, and the report must say so.
    pub(crate) fn share(&self) -> f64 {
        0.5_f64.powi(self.level.cast_signed())
    }

    /// Makes a search of the values.
    pub(crate) fn into_finder(self) -> Finder {
        Finder::new(self.values)
    }

    fn takes(&self, value: &[u8]) -> bool {
        takes(self.level, value)
    }
}

fn takes(level: u32, value: &[u8]) -> bool {
    level == 0 || hash(value).trailing_zeros() >= level
}

/// FNV-1a, mixed so that the low bits depend on all bytes. The sample is the same in every run.
fn hash(value: &[u8]) -> u64 {
    let hash = value.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

/// Returns `true` if there are fewer than six characters, whatever their bytes.
fn is_short(value: &[u8]) -> bool {
    value.len() < 4 * MIN_LENGTH
        && value.iter().filter(|byte| **byte & 0xc0 != 0x80).count() < MIN_LENGTH
}

/// Cuts a long value between two characters.
fn beginning(value: &[u8]) -> &[u8] {
    if value.len() <= MAX_LENGTH {
        return value;
    }
    let is_first = |at: &usize| value[*at] & 0xc0 != 0x80;
    let end = (MAX_LENGTH - 3..=MAX_LENGTH).rev().find(is_first).unwrap_or(MAX_LENGTH);
    &value[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_and_repetitions_are_not_kept() {
        let mut collector = Collector::new(1_000_000);
        for value in ["ann@example.org", "short", "ann@example.org", "äöüßé", "äöüßéà"] {
            collector.add(0, value.as_bytes());
        }
        assert_eq!(collector.len(), 2);
        assert_eq!(collector.share(), 1.0);
        let mut finder = collector.into_finder();
        finder.feed("short ÄÖÜSSÉ ann@example.org".as_bytes());
        let found = finder.found()[&0];
        assert_eq!((found.found, found.absent), (1, 1));
    }

    #[test]
    fn memory_is_bounded_by_a_fair_sample() {
        let mut collector = Collector::new(100_000);
        for number in 0..50_000 {
            collector.add(0, format!("value number {number}").as_bytes());
        }
        let expected = 50_000.0 * collector.share();
        assert!(collector.share() < 1.0);
        assert!(collector.bytes <= 100_000);
        let kept = collector.len() as f64;
        assert!((0.8..1.25).contains(&(kept / expected)), "{kept} of {expected}");
    }

    #[test]
    fn collectors_are_joined() {
        let (mut one, mut two) = (Collector::new(10_000), Collector::new(1_000_000));
        for number in 0..1_000 {
            one.add(0, format!("value number {number}").as_bytes());
            two.add(1, format!("value number {number}").as_bytes());
        }
        let (share, length) = (one.share(), one.len());
        assert!(share < 1.0);
        two.absorb(one);
        assert_eq!(two.share(), share);
        assert_eq!(two.len(), length);
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let long = "é".repeat(1_000);
        assert_eq!(std::str::from_utf8(beginning(long.as_bytes())).unwrap().len(), 256);
        let odd = format!("x{long}");
        assert_eq!(std::str::from_utf8(beginning(odd.as_bytes())).unwrap().len(), 255);
    }
}
