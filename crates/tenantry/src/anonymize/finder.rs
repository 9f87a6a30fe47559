//! Finds any of many values in much text.
//!
//! Of each value six bytes are looked for that few other values have; where they occur, the rest is compared. Text passes through one
//! window of six bytes, so the time is linear in its length; most windows are ruled out by one bit. An automaton
//! (Aho–Corasick) would need a state for every byte of every value, and hundreds of megabytes for a million of them.

use std::collections::HashMap;

/// The fewest bytes and characters of a value that can be looked for.
pub(super) const MIN_LENGTH: usize = 6;

/// Bits of the filter for each value.
const FILTER_BITS: usize = 16;

/// A search for values. Letters A to Z match in either case.
#[derive(Debug)]
pub(crate) struct Finder {
    /// All values in a row, in lower case.
    bytes: Vec<u8>,
    values: Vec<Value>,
    /// The values by the hash of their window.
    buckets: Vec<u32>,
    filter: Vec<u64>,
    longest: usize,
    /// The end of the text so far, in lower case.
    carry: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Value {
    start: u32,
    length: u16,
    /// Where the window is in the value.
    window: u16,
    origin: u32,
    /// The next value in the bucket, plus 1.
    next: u32,
    is_found: bool,
    /// It is found elsewhere, too, so that finding it proves nothing.
    is_excused: bool,
}

/// What a search has found of the values of one column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Values that the text holds.
    pub(crate) found: u64,
    /// Values that the text does not hold.
    pub(crate) absent: u64,
    /// Values of which nothing can be proved, because they occur where they may.
    pub(crate) excused: u64,
}

impl Finder {
    /// Prepares a search of values, each with the number of its column. Those that are too short or too long are left out.
    pub(crate) fn new(source: HashMap<Box<[u8]>, u32>) -> Self {
        let mut finder = Self {
            bytes: Vec::with_capacity(source.keys().map(|value| value.len()).sum()),
            values: Vec::with_capacity(source.len()),
            buckets: Vec::new(),
            filter: Vec::new(),
            longest: 0,
            carry: Vec::new(),
        };
        for (value, origin) in source {
            let Ok(length) = u16::try_from(value.len()) else { continue };
            let Ok(start) = u32::try_from(finder.bytes.len()) else { break };
            if value.len() < MIN_LENGTH {
                continue;
            }
            finder.longest = finder.longest.max(value.len());
            finder.bytes.extend(value.iter().map(u8::to_ascii_lowercase));
            finder.values.push(Value {
                start,
                length,
                window: 0,
                origin,
                next: 0,
                is_found: false,
                is_excused: false,
            });
        }
        finder.index();
        finder
    }

    /// Chooses the window of each value that is the rarest among all, and enters it.
    fn index(&mut self) {
        let size = (self.values.len() * 4).next_power_of_two().clamp(1 << 10, 1 << 24);
        let mut counts = vec![0_u8; size];
        for value in &self.values {
            for (_, hash) in windows(text_of(&self.bytes, value)) {
                let count = &mut counts[hash as usize & (size - 1)];
                *count = count.saturating_add(1);
            }
        }
        let buckets = self.values.len().next_power_of_two().max(1 << 10);
        self.buckets = vec![0; buckets];
        let bits = (self.values.len() * FILTER_BITS).next_power_of_two().max(1 << 14);
        self.filter = vec![0; bits / 64];
        for (number, value) in self.values.iter_mut().enumerate() {
            let text = text_of(&self.bytes, value);
            let rarest = windows(text).min_by_key(|(_, hash)| counts[*hash as usize & (size - 1)]);
            let Some((window, hash)) = rarest else { continue };
            value.window = window as u16;
            let bucket = &mut self.buckets[hash as usize & (buckets - 1)];
            value.next = std::mem::replace(bucket, number as u32 + 1);
            let bit = (hash >> 32) as usize & (bits - 1);
            self.filter[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// Looks through the next piece of a text. A value that two pieces share is found.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        let mut text = std::mem::take(&mut self.carry);
        let start = text.len();
        text.extend_from_slice(piece);
        text[start..].make_ascii_lowercase();
        self.search(&text);
        let kept = self.longest.saturating_sub(1).min(text.len());
        let gone = text.len() - kept;
        text.copy_within(gone.., 0);
        text.truncate(kept);
        self.carry = text;
    }

    /// Ends a text, so that nothing is found across its end.
    pub(crate) fn end_of_text(&mut self) {
        self.carry.clear();
    }

    fn search(&mut self, text: &[u8]) {
        let (buckets, bits) = (self.buckets.len(), self.filter.len() * 64);
        for (at, hash) in windows(text) {
            let bit = (hash >> 32) as usize & (bits - 1);
            if self.filter[bit / 64] & (1 << (bit % 64)) == 0 {
                continue;
            }
            let mut next = self.buckets[hash as usize & (buckets - 1)];
            while let Some(value) =
                next.checked_sub(1).and_then(|at| self.values.get_mut(at as usize))
            {
                next = value.next;
                if value.is_found {
                    continue;
                }
                let start = at.checked_sub(value.window.into());
                let found =
                    start.and_then(|start| text.get(start..start + usize::from(value.length)));
                value.is_found = found == Some(text_of(&self.bytes, value));
            }
        }
    }

    /// Excuses the values that have been found until now, and looks for the others from now on.
    pub(crate) fn excuse_found(&mut self) {
        self.end_of_text();
        for value in &mut self.values {
            value.is_excused |= std::mem::take(&mut value.is_found);
        }
    }

    /// Excuses the values that fit a condition. They are in lower case.
    pub(crate) fn excuse_if(&mut self, is_harmless: impl Fn(&[u8]) -> bool) {
        for value in &mut self.values {
            value.is_excused |= is_harmless(text_of(&self.bytes, value));
        }
    }

    /// Returns what has been found, by columns.
    pub(crate) fn found(&self) -> HashMap<u32, Found> {
        let mut columns: HashMap<u32, Found> = HashMap::new();
        for value in &self.values {
            let column = columns.entry(value.origin).or_default();
            match (value.is_excused, value.is_found) {
                (true, _) => column.excused += 1,
                (false, true) => column.found += 1,
                (false, false) => column.absent += 1,
            }
        }
        columns
    }

    /// Returns the bytes of memory that it takes.
    #[cfg(test)]
    fn memory(&self) -> usize {
        self.bytes.capacity()
            + self.values.capacity() * size_of::<Value>()
            + self.buckets.capacity() * 4
            + self.filter.capacity() * 8
    }
}

fn text_of<'a>(bytes: &'a [u8], value: &Value) -> &'a [u8] {
    let start = value.start as usize;
    bytes.get(start..start + usize::from(value.length)).unwrap_or_default()
}

/// Returns the places and hashes of all windows of a text.
fn windows(text: &[u8]) -> impl Iterator<Item = (usize, u64)> + '_ {
    let (first, rest) = text.split_at(text.len().min(MIN_LENGTH - 1));
    let mut window = first.iter().fold(0_u64, |window, byte| (window << 8) | u64::from(*byte));
    rest.iter().enumerate().map(move |(at, byte)| {
        window = (window << 8) | u64::from(*byte);
        let six = window & 0xffff_ffff_ffff;
        let hash = six.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (at, hash ^ (hash >> 29))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finder(values: &[&str]) -> Finder {
        let values = values.iter().map(|value| (value.as_bytes().into(), 0));
        Finder::new(values.collect())
    }

    fn found(finder: &Finder) -> Found {
        finder.found().get(&0).copied().unwrap_or_default()
    }

    #[test]
    fn values_are_found_anywhere() {
        for (text, expected) in [
            ("xx ann@example.org yy", 1),
            ("Ann@Example.ORG", 1),
            ("ann@example.or", 0),
            ("ann@example.orgbob@example.org", 2),
            ("aann@example.org", 1),
            ("", 0),
        ] {
            let mut finder = finder(&["ann@example.org", "bob@example.org"]);
            finder.feed(text.as_bytes());
            assert_eq!(found(&finder).found, expected, "{text}");
        }
    }

    #[test]
    fn a_value_may_hold_another() {
        let mut finder = finder(&["ann@example.org", "example", "joann@example.org"]);
        finder.feed(b"joann@example.org");
        assert_eq!(found(&finder), Found { found: 3, absent: 0, excused: 0 });
    }

    #[test]
    fn pieces_are_joined_and_texts_are_not() {
        let mut finder = finder(&["ann@example.org"]);
        for byte in b"-- ann@example.or" {
            finder.feed(&[*byte]);
        }
        finder.end_of_text();
        finder.feed(b"g");
        assert_eq!(found(&finder).found, 0);
        for byte in b"ann@example.org" {
            finder.feed(&[*byte]);
        }
        assert_eq!(found(&finder).found, 1);
    }

    #[test]
    fn what_is_found_elsewhere_is_excused() {
        let mut finder = finder(&["ann@example.org", "Springfield", "bob@example.org"]);
        finder.excuse_if(|value| value == b"springfield");
        finder.feed(b"bob@example.org");
        finder.excuse_found();
        finder.feed(b"springfield bob@example.org ann@example.org");
        assert_eq!(found(&finder), Found { found: 1, absent: 0, excused: 2 });
    }

    #[test]
    fn many_values_take_little_memory() {
        let values = (0..100_000).map(|number| {
            (format!("customer.{number}@example.org").into_bytes().into_boxed_slice(), 0)
        });
        let mut finder = Finder::new(values.collect());
        assert!(finder.memory() < 100_000 * 120, "{} bytes a value", finder.memory() / 100_000);
        finder.feed(b"customer.77777@example.org customer.100000@example.org");
        assert_eq!(found(&finder).found, 1);
    }

    proptest! {
        #[test]
        fn it_finds_what_a_plain_search_finds(
            values in prop::collection::hash_set("[ab]{6,9}", 1..20),
            pieces in prop::collection::vec("[abAB]{0,12}", 0..12),
        ) {
            let mut finder = Finder::new(values.iter().map(|value| (value.as_bytes().into(), 0)).collect());
            for piece in &pieces {
                finder.feed(piece.as_bytes());
            }
            let text = pieces.concat().to_lowercase();
            let expected = values.iter().filter(|value| text.contains(*value)).count() as u64;
            prop_assert_eq!(found(&finder).found, expected);
        }
    }
}
