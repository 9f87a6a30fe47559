//! What the comment on a spare says: of which files it is, and when its service last had a use for it.

use std::time::Duration;

/// How every comment on a schema begins that only has to be given a name.
pub(super) const READY: &str = "tenantry: ready";

/// How every comment on a schema begins of which tenants are copies.
pub(super) const TEMPLATE: &str = "tenantry: template";

/// After how long without use anybody removes a spare of other files: the release is gone.
pub(super) const UNUSED: Duration = Duration::from_secs(24 * 60 * 60);

/// How old a note may get before it is written again.
const WRITTEN_AGAIN: Duration = Duration::from_secs(60 * 60);

/// The rest of a comment such as `tenantry: ready <hash of the files> <last version> <seconds since 1970>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpareNote {
    /// Of which files it is; empty where an earlier release has made it, which did not say.
    pub(super) hash: String,
    /// The last version of those files.
    pub(super) latest: i64,
    used_at: Duration,
}

impl SpareNote {
    pub(super) fn new(hash: &str, latest: i64, now: Duration) -> Self {
        Self { hash: hash.to_owned(), latest, used_at: now }
    }

    /// Reads a comment. `None` when the schema is not ready.
    pub(super) fn parse(comment: &str) -> Option<Self> {
        Self::after(READY, comment)
    }

    /// Reads a comment that begins like this.
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

    /// Says whether the note should be written again, so that nobody takes the spare for one that is not used.
    pub(super) fn is_old(&self, now: Duration) -> bool {
        now.saturating_sub(self.used_at) > WRITTEN_AGAIN
    }

    /// Says whether nobody has had a use for the spare for so long that anybody may remove it.
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
