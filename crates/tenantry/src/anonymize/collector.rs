//! Source values of masked columns, kept to prove that none is in the clone.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::{BuildHasherDefault, Hasher},
};

use super::{
    Key,
    finder::{Finder, MIN_LENGTH},
    key::{Purpose, word},
};

/// The maximum number of bytes kept per value. Longer values are searched for by their beginning.
const MAX_LENGTH: usize = 256;

/// Distinct source values of six or more characters, each with the column in which it was first seen.
///
/// Memory is bounded. When it is full, half of the values are dropped, chosen by their hash, and half of the new ones
/// are ignored from then on, and so on. The values that remain are a uniform sample.
///
/// Values are distinguished by a keyed hash of 64 bits, so that crafted values cannot hide others. `Debug` shows none
/// of them.
pub(crate) struct Collector {
    /// The values by their hash.
    values: HashMap<u64, Kept, BuildHasherDefault<Ready>>,
    /// All values, concatenated.
    bytes: Vec<u8>,
    max_bytes: usize,
    /// A value is kept if this many bits of its hash are 0.
    level: u32,
    seeds: [u64; 2],
}

/// The position of a value, and the number of its column.
#[derive(Clone, Copy)]
struct Kept {
    start: u32,
    length: u16,
    origin: u32,
}

/// The memory per value in addition to its bytes: its entry, and the free capacity of the map.
const OVERHEAD: usize = 40;

/// The hash of a number that is a hash already.
#[derive(Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Collector {
    /// Creates a collector that uses up to about this many bytes of memory, at most 4 GB. Collectors that are joined
    /// later must have the same key.
    pub(crate) fn new(max_bytes: usize, key: &Key) -> Self {
        let seed = key.digest(Purpose::Subkey, &[b"collector"]);
        Self {
            values: HashMap::default(),
            bytes: Vec::new(),
            max_bytes: max_bytes.min(u32::MAX as usize),
            level: 0,
            seeds: [word(&seed, 0), word(&seed, 1) | 1],
        }
    }

    /// Adds a value of a column, which is identified by a number.
    pub(crate) fn add(&mut self, origin: u32, value: &[u8]) {
        if value.len() < MIN_LENGTH || is_short(value) {
            return;
        }
        let value = beginning(value);
        let hash = self.hash(value);
        if !takes(self.level, hash) {
            return;
        }
        let Entry::Vacant(entry) = self.values.entry(hash) else { return };
        // The limit keeps both numbers small.
        let (Ok(start), Ok(length)) = (u32::try_from(self.bytes.len()), u16::try_from(value.len()))
        else {
            return;
        };
        entry.insert(Kept { start, length, origin });
        self.bytes.extend_from_slice(value);
        while self.memory() > self.max_bytes && self.level < 40 {
            self.forget(self.level + 1);
        }
    }

    /// Returns how many values are kept.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns the share of values that are kept: 1, 0.5, 0.25 and so on. Below 1 the proof covers a sample only, and
    /// the report must say so.
    pub(crate) fn share(&self) -> f64 {
        0.5_f64.powi(self.level.cast_signed())
    }

    /// Converts the values to a search.
    pub(crate) fn into_finder(self) -> Finder {
        Finder::new(self.iter())
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], u32)> {
        self.values.values().map(|kept| (text_of(&self.bytes, kept), kept.origin))
    }

    fn memory(&self) -> usize {
        self.bytes.len() + self.values.len() * OVERHEAD
    }

    /// Keeps only the values of a level.
    fn forget(&mut self, level: u32) {
        if level == self.level {
            return;
        }
        self.level = level;
        let mut bytes = Vec::with_capacity(self.bytes.len() / 2);
        self.values.retain(|hash, kept| {
            let is_kept = takes(level, *hash);
            if is_kept {
                let value = text_of(&self.bytes, kept);
                kept.start = bytes.len() as u32;
                bytes.extend_from_slice(value);
            }
            is_kept
        });
        self.bytes = bytes;
    }

    /// Multiplies eight bytes at a time with the previous state, and folds the 128 bits of the product.
    fn hash(&self, value: &[u8]) -> u64 {
        let [start, factor] = self.seeds;
        let fold = |hash: u64, word: u64| {
            let product = u128::from(hash ^ word) * u128::from(factor);
            (product as u64) ^ (product >> 64) as u64
        };
        let (words, rest) = value.as_chunks::<8>();
        let hash = words.iter().fold(start, |hash, word| fold(hash, u64::from_le_bytes(*word)));
        let last = rest.iter().fold(0, |last, byte| (last << 8) | u64::from(*byte));
        fold(fold(hash, last), value.len() as u64 ^ start.rotate_left(32))
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collector({} values, redacted)", self.len())
    }
}

fn text_of<'a>(bytes: &'a [u8], kept: &Kept) -> &'a [u8] {
    let start = kept.start as usize;
    bytes.get(start..start + usize::from(kept.length)).unwrap_or_default()
}

fn takes(level: u32, hash: u64) -> bool {
    // Does not use the bits at either end, which the map uses.
    (hash << 12).leading_zeros() >= level
}

/// Returns `true` if there are fewer than six characters, regardless of their bytes.
fn is_short(value: &[u8]) -> bool {
    value.len() < 4 * MIN_LENGTH
        && value.iter().filter(|byte| **byte & 0xc0 != 0x80).count() < MIN_LENGTH
}

/// Truncates a long value at a character boundary.
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

    fn collector(max_bytes: usize) -> Collector {
        Collector::new(max_bytes, &Key::from_bytes([1; 32]).unwrap())
    }

    #[test]
    fn short_values_and_repetitions_are_not_kept() {
        let mut collector = collector(1_000_000);
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
        let mut collector = collector(100_000);
        for number in 0..50_000 {
            collector.add(0, format!("value number {number}").as_bytes());
        }
        let expected = 50_000.0 * collector.share();
        assert!(collector.share() < 1.0);
        assert!(collector.memory() <= 100_000);
        let kept = collector.len() as f64;
        assert!((0.8..1.25).contains(&(kept / expected)), "{kept} of {expected}");
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let long = "é".repeat(1_000);
        assert_eq!(std::str::from_utf8(beginning(long.as_bytes())).unwrap().len(), 256);
        let odd = format!("x{long}");
        assert_eq!(std::str::from_utf8(beginning(odd.as_bytes())).unwrap().len(), 255);
    }
}
