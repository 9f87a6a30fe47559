//! The comment on a spare: the hash of its files, and when its service last needed it.

use std::time::Duration;

/// The start of the comment on every schema that only needs to be renamed.
pub(super) const READY: &str = "tenantry: ready";

/// The start of the comment on every template schema.
pub(super) const TEMPLATE: &str = "tenantry: template";

/// The time without use after which any process can remove a spare of other files: its release is gone.
pub(super) const UNUSED: Duration = Duration::from_secs(24 * 60 * 60);

/// The maximum age of a note before it is rewritten.
const WRITTEN_AGAIN: Duration = Duration::from_secs(60 * 60);

/// The rest of a comment such as `tenantry: ready <hash of the files> <last version> <seconds since 1970>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpareNote {
    /// The hash of its files; empty if an earlier release created it, which did not record the hash.
    pub(super) hash: String,
    /// The last version of those files.
    pub(super) latest: i64,
    pub(super) used_at: Duration,
}

impl SpareNote {
    pub(super) fn new(hash: &str, latest: i64, now: Duration) -> Self {
        Self { hash: hash.to_owned(), latest, used_at: now }
    }

    /// Reads a comment. `None` when the schema is not ready.
    pub(super) fn parse(comment: &str) -> Option<Self> {
        Self::after(READY, comment)
    }

    /// Parses a comment with this start.
    pub(super) fn after(beginning: &str, comment: &str) -> Option<Self> {
        let mut words = comment.strip_prefix(beginning)?.split(' ').skip(1);
        let hash = words.next().unwrap_or_default().to_owned();
        let latest = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
        let used_at = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
        Some(Self { hash, latest, used_at: Duration::from_secs(used_at) })
    }

    /// Returns the comment with this beginning.
    pub(super) fn text(&self, beginning: &str) -> String {
        format!("{beginning} {} {} {}", self.hash, self.latest, self.used_at.as_secs())
    }

    /// Returns `true` if the note should be rewritten, so that the spare is not considered unused.
    pub(super) fn is_old(&self, now: Duration) -> bool {
        now.saturating_sub(self.used_at) > WRITTEN_AGAIN
    }

    /// Returns `true` if the spare was not needed for so long that any process can remove it.
    pub(super) fn is_unused(&self, now: Duration) -> bool {
        now.saturating_sub(self.used_at) > UNUSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    #[test]
    fn what_is_written_is_read() {
        let note = SpareNote::new("0123456789abcdef", 42, NOW);
        assert_eq!(note.text(READY), "tenantry: ready 0123456789abcdef 42 1800000000");
        assert_eq!(SpareNote::parse(&note.text(READY)), Some(note));
        assert_eq!(SpareNote::parse("tenantry: kept"), None);
        let earlier = SpareNote::parse(READY).expect("an earlier release has made it");
        assert_eq!(earlier.hash, "");
    }

    #[test]
    fn it_is_used_until_a_day_is_over() {
        let note = SpareNote::new("a", 1, NOW);
        let hours = |hours: u64| NOW + Duration::from_secs(hours * 60 * 60);
        assert!(!note.is_old(hours(1)) && note.is_old(hours(2)));
        assert!(!note.is_unused(hours(24)) && note.is_unused(hours(25)));
        // A clock that is late.
        assert!(!note.is_unused(hours(0)) && !note.is_unused(Duration::ZERO));
    }
}
