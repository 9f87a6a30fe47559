use std::{fmt, str::FromStr};

/// A position in the write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Lsn(u64);

/// A log whose positions can be compared: one cluster, before it was forked by a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct History {
    /// The system identifier, which all copies of a cluster have.
    pub(crate) system: u64,
    /// A promotion begins a new one.
    pub(crate) timeline: u32,
}

/// The sizes of a log's pages and files, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pages {
    pub(super) page: u64,
    pub(super) segment: u64,
}

/// The sizes of the header of a page, and of the first page of a file.
const HEADERS: [u64; 2] = [24, 40];

impl Lsn {
    pub(crate) const fn new(position: u64) -> Self {
        Self(position)
    }

    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// Returns how many bytes of the log are between this position and a later one.
    pub(crate) const fn behind(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }

    /// Returns the end of the last record before the position at which the next one is inserted.
    ///
    /// They differ after a record that ends with its page: the next one begins after the header of
    /// the next page. A replica that has replayed everything is at the former.
    pub(super) fn end_of_record(self, pages: Pages) -> Self {
        let header = |size: u64| self.0.checked_rem(size);
        let [short, long] = HEADERS;
        let is_after_header = match header(pages.segment) {
            Some(offset) if offset < pages.page => offset == long,
            _ => header(pages.page) == Some(short),
        };
        match is_after_header {
            true => Self(self.0 - self.0 % pages.page),
            false => self,
        }
    }
}

impl History {
    /// Returns `true` if it began with a promotion in the other one, or in one after that.
    pub(crate) fn supersedes(self, other: Self) -> bool {
        self.system == other.system && self.timeline > other.timeline
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl FromStr for Lsn {
    type Err = ();

    /// Reads PostgreSQL's form, such as `16/B374D848`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (high, low) = text.split_once('/').ok_or(())?;
        let half = |digits: &str| {
            let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten().ok_or(())
        };
        Ok(Self((u64::from(half(high)?) << 32) | u64::from(half(low)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: Pages = Pages { page: 8192, segment: 16 << 20 };

    #[test]
    fn reads_what_postgresql_prints() {
        for (text, position) in
            [("0/0", 0), ("16/B374D848", 0x16_b374_d848), ("FFFFFFFF/FFFFFFFF", u64::MAX)]
        {
            assert_eq!(text.parse(), Ok(Lsn::new(position)));
            assert_eq!(Lsn::new(position).to_string(), text);
        }
        for text in
            ["", "/", "0", "0/", "/0", "0/G", "+1/0", "0/-1", "1/2/3", "100000000/0", " 0/0"]
        {
            assert_eq!(text.parse::<Lsn>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_record_that_fills_its_page_ends_before_the_next_header() {
        let end = |position| Lsn::new(position).end_of_record(PAGES).get();
        let segment = PAGES.segment;
        assert_eq!(end(3 * 8192 + 24), 3 * 8192);
        assert_eq!(end(segment + 40), segment);
        // Ends of records.
        for position in
            [3 * 8192, 3 * 8192 + 40, segment, segment + 24, segment + 48, 5, 3 * 8192 + 25]
        {
            assert_eq!(end(position), position);
        }
        let unknown = Pages { page: 0, segment: 0 };
        assert_eq!(Lsn::new(24).end_of_record(unknown), Lsn::new(24));
    }

    #[test]
    fn only_a_later_timeline_of_the_same_cluster_supersedes() {
        let of = |system, timeline| History { system, timeline };
        assert!(of(1, 2).supersedes(of(1, 1)));
        for (one, other) in [(of(1, 1), of(1, 1)), (of(1, 1), of(1, 2)), (of(2, 2), of(1, 1))] {
            assert!(!one.supersedes(other));
        }
    }
}
