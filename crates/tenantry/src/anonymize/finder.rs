//! Searches a large text for any of many values.
//!
//! Each value is indexed by its rarest eight bytes, or six if it is short. A window of that width slides over the
//! text, so the time is linear; a Bloom filter rules out most positions, and the rest are compared. For a million
//! values this searches 200 MB/s and builds in 0.6 s; an Aho–Corasick automaton searches 290 MB/s, takes five times
//! the memory and 20 s to build.

use std::{collections::HashMap, fmt, ops::Range};

use super::{copy_text, json_text};

/// The minimum number of bytes and characters of a value that can be searched for.
pub(super) const MIN_LENGTH: usize = 6;

/// Bits of the filter for each value.
const FILTER_BITS: usize = 16;

/// How often a text is searched with another layer of backslashes removed: JSON in an array in a composite has three
/// layers.
const MAX_NESTING: usize = 3;

/// A search for values. Letters A to Z match in either case. `Debug` shows no value.
pub(crate) struct Finder {
    /// All values, concatenated, in lower case.
    bytes: Vec<u8>,
    values: Vec<Value>,
    /// Values that are too short for the wide window, and the others.
    tables: [Table; 2],
    longest: usize,
    /// The end of the text so far, in lower case.
    carry: Vec<u8>,
    /// The columns of values that were found a moment ago.
    fresh: Vec<u32>,
}

/// The values that are searched for with windows of one width.
#[derive(Default)]
struct Table {
    /// The width of the window, in bits.
    width: u32,
    /// The first value of each hash, plus 1.
    buckets: Vec<u32>,
    filter: Vec<u64>,
}

impl Table {
    /// Returns the word of the filter for a hash, and the two bits in it.
    fn bits(&self, hash: u64) -> (usize, u64) {
        let word = (hash >> 40) as usize & self.filter.len().wrapping_sub(1);
        (word, 1 << (hash >> 34 & 63) | 1 << (hash >> 28 & 63))
    }
}

/// The width of the window for long values, in bytes.
const WIDE: usize = 8;

#[derive(Clone, Copy)]
struct Value {
    start: u32,
    length: u16,
    /// The position of the window in the value.
    window: u16,
    origin: u32,
    /// The next value in the bucket, plus 1.
    next: u32,
    is_found: bool,
    /// It also occurs where it is allowed, so finding it proves nothing.
    is_excused: bool,
}

/// The result of a search for the values of one column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Values that occur in the text.
    pub(crate) found: u64,
    /// Values that do not occur in the text.
    pub(crate) absent: u64,
    /// Values that prove nothing, because they also occur where they are allowed.
    pub(crate) excused: u64,
}

impl Finder {
    /// Prepares a search for values, each with the number of its column. Values that are too short or too long are
    /// omitted.
    pub(super) fn new<'a>(source: impl Iterator<Item = (&'a [u8], u32)>) -> Self {
        let mut finder = Self {
            bytes: Vec::new(),
            values: Vec::with_capacity(source.size_hint().0),
            tables: Default::default(),
            longest: 0,
            carry: Vec::new(),
            fresh: Vec::new(),
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
        let [short, long] = [0..WIDE, WIDE..usize::MAX].map(|lengths| finder.index(&lengths));
        finder.tables = [short, long];
        finder
    }

    /// Chooses the rarest window for each value of some lengths, and adds it to the index.
    fn index(&mut self, lengths: &Range<usize>) -> Table {
        let is_in = |value: &&mut Value| lengths.contains(&usize::from(value.length));
        let number = self.values.iter_mut().filter(is_in).count();
        let bytes = if lengths.start < MIN_LENGTH { MIN_LENGTH } else { WIDE };
        let width = 8 * bytes as u32;
        if number == 0 {
            return Table { width, ..Table::default() };
        }
        let size = (number * 8).next_power_of_two().clamp(1 << 10, 1 << 24);
        let mut counts = vec![0_u8; size];
        for value in self.values.iter_mut().filter(is_in) {
            for (_, hash) in windows(text_of(&self.bytes, value), width) {
                let count = &mut counts[hash as usize & (size - 1)];
                *count = count.saturating_add(1);
            }
        }
        let buckets = number.next_power_of_two().max(1 << 10);
        let bits = (number * FILTER_BITS).next_power_of_two().max(1 << 14);
        let mut table = Table { width, buckets: vec![0; buckets], filter: vec![0; bits / 64] };
        for (number, value) in self.values.iter_mut().enumerate() {
            if !lengths.contains(&usize::from(value.length)) {
                continue;
            }
            let text = text_of(&self.bytes, value);
            let rarest =
                windows(text, width).min_by_key(|(_, hash)| counts[*hash as usize & (size - 1)]);
            let Some((window, hash)) = rarest else { continue };
            value.window = window as u16;
            let bucket = &mut table.buckets[hash as usize & (buckets - 1)];
            value.next = std::mem::replace(bucket, number as u32 + 1);
            let (word, bits) = table.bits(hash);
            table.filter[word] |= bits;
        }
        table
    }

    /// Searches the next piece of a text. Values that span two pieces are found.
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

    /// Searches whole lines of `COPY … TO STDOUT`. Fields with backslashes are searched again after removing the
    /// escapes of the format, and then those of arrays, composites and JSON inside.
    pub(crate) fn feed_rows(&mut self, lines: &[u8]) {
        self.feed(lines);
        self.end_of_text();
        if !lines.contains(&b'\\') {
            return;
        }
        for line in lines.split(|byte| *byte == b'\n').filter(|line| line.contains(&b'\\')) {
            for field in line.split(|byte| *byte == b'\t').filter(|field| field.contains(&b'\\')) {
                let mut text = copy_text::decode(field).into_owned();
                self.feed(&text);
                self.end_of_text();
                for _ in 0..MAX_NESTING {
                    if !text.contains(&b'\\') {
                        break;
                    }
                    text = unescaped(&text);
                    self.feed(&text);
                    self.end_of_text();
                }
            }
        }
    }

    /// Ends a text, so that no match spans its end.
    pub(crate) fn end_of_text(&mut self) {
        self.carry.clear();
    }

    fn search(&mut self, text: &[u8]) {
        for table in &self.tables {
            let buckets = table.buckets.len();
            if buckets == 0 {
                continue;
            }
            for (at, hash) in windows(text, table.width) {
                let (word, bits) = table.bits(hash);
                if table.filter[word] & bits != bits {
                    continue;
                }
                let mut next = table.buckets[hash as usize & (buckets - 1)];
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
                    value.is_found = found == Some(text_of(&self.bytes, value))
                        && start.is_some_and(|start| !is_chance(text, start, value.length));
                    if value.is_found && !value.is_excused {
                        self.fresh.push(value.origin);
                    }
                }
            }
        }
    }

    /// Returns the columns of the values that were found since the last call, one for each value.
    pub(crate) fn take_fresh(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.fresh)
    }

    /// Marks the values found so far as excused, and continues with the others.
    pub(crate) fn excuse_found(&mut self) {
        self.end_of_text();
        self.fresh.clear();
        for value in &mut self.values {
            value.is_excused |= std::mem::take(&mut value.is_found);
        }
    }

    /// Marks the values that satisfy a condition as excused. They are in lower case.
    pub(crate) fn excuse_if(&mut self, is_harmless: impl Fn(&[u8]) -> bool) {
        for value in &mut self.values {
            value.is_excused |= is_harmless(text_of(&self.bytes, value));
        }
    }

    /// Returns the results by column.
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

    /// Returns its memory usage in bytes.
    #[cfg(test)]
    fn memory(&self) -> usize {
        self.bytes.capacity()
            + self.values.capacity() * size_of::<Value>()
            + self
                .tables
                .iter()
                .map(|table| table.buckets.len() * 4 + table.filter.len() * 8)
                .sum::<usize>()
    }
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Finder({} values, redacted)", self.values.len())
    }
}

/// Up to this many hexadecimal digits, a number is likely to occur in longer unrelated ones, such as hashes.
const CHANCE: usize = 12;

/// Returns `true` if a value is a short hexadecimal number within a longer word.
fn is_chance(text: &[u8], start: usize, length: u16) -> bool {
    let end = start + usize::from(length);
    let value = text.get(start..end).unwrap_or_default();
    if value.len() > CHANCE || !value.iter().all(u8::is_ascii_hexdigit) {
        return false;
    }
    let before = start.checked_sub(1).and_then(|at| text.get(at));
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    is_word(before) || is_word(text.get(end))
}

fn text_of<'a>(bytes: &'a [u8], value: &Value) -> &'a [u8] {
    let start = value.start as usize;
    bytes.get(start..start + usize::from(value.length)).unwrap_or_default()
}

/// Removes one layer of backslashes, including the letters and code points of JSON.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest, mut decoded) = (Vec::with_capacity(text.len()), text, Vec::new());
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        plain.extend_from_slice(&rest[..at]);
        // A surrogate pair is twelve bytes long.
        let length = [12, 6, 2].into_iter().find(|length| {
            let sequence = rest.get(at..at + length);
            sequence.is_some_and(|sequence| json_text::decode(sequence, &mut decoded).is_some())
        });
        let next = match length {
            Some(length) => {
                plain.extend_from_slice(&decoded);
                at + length
            }
            None => at + 1,
        };
        rest = rest.get(next..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
    plain
}

/// Returns the positions and hashes of all windows of a text, which are at most 64 bits wide.
fn windows(text: &[u8], width: u32) -> impl Iterator<Item = (usize, u64)> + '_ {
    let (first, rest) = text.split_at(text.len().min(width as usize / 8 - 1));
    let mut window = first.iter().fold(0_u64, |window, byte| (window << 8) | u64::from(*byte));
    rest.iter().enumerate().map(move |(at, byte)| {
        window = (window << 8) | u64::from(*byte);
        let hash = (window << (64 - width)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (at, hash ^ (hash >> 29))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finder(values: &[&str]) -> Finder {
        let values = values.iter().map(|value| (value.as_bytes(), 0));
        Finder::new(values)
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
    fn short_numbers_in_longer_ones_are_chance() {
        for (text, expected) in [
            ("c100123", 1),
            ("code C100123, please", 1),
            ("9fc10012347", 0),
            ("{c100123}", 1),
            ("xc100123", 0),
        ] {
            let mut finder = finder(&["C100123"]);
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
    fn backslashes_hide_nothing() {
        for lines in [
            "1\tann@example.org\n",
            r"1	a\nn@example.org",
            r#"{"mail": "ann\\u0040example.org"}"#,
            r#"{"{\\"mail\\": \\"ann\\\\u0040example.org\\"}"}"#,
            r"\141nn@example.org",
        ] {
            let mut finder = finder(&["ann@example.org", "a\nn@example.org"]);
            finder.feed_rows(lines.as_bytes());
            assert_eq!(found(&finder).found, 1, "{lines}");
        }
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
        let values = (0..100_000).map(|number| format!("customer.{number}@example.org"));
        let values: Vec<_> = values.collect();
        let mut finder = Finder::new(values.iter().map(|value| (value.as_bytes(), 0)));
        assert!(finder.memory() < 100_000 * 120, "{} bytes a value", finder.memory() / 100_000);
        finder.feed(b"customer.77777@example.org customer.100000@example.org");
        assert_eq!(found(&finder).found, 1);
    }

    proptest! {
        #[test]
        fn it_finds_what_a_plain_search_finds(
            values in prop::collection::hash_set("[xy]{6,9}", 1..20),
            pieces in prop::collection::vec("[xyXY]{0,12}", 0..12),
        ) {
            let mut finder = Finder::new(values.iter().map(|value| (value.as_bytes(), 0)));
            for piece in &pieces {
                finder.feed(piece.as_bytes());
            }
            let text = pieces.concat().to_lowercase();
            let expected = values.iter().filter(|value| text.contains(*value)).count() as u64;
            prop_assert_eq!(found(&finder).found, expected);
        }
    }
}
