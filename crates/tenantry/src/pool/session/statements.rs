//! The prepared statements of a session, as far as their use by other occupants is concerned.

use std::time::Duration;

use tokio::time::Instant;

use super::super::shape::Alike;

/// The prepared-statement cache of a session.
#[derive(Debug)]
pub(super) struct Statements {
    kept: Kept,
    /// `true` if some of them were prepared for another occupant.
    borrowed: bool,
    /// `true` if some were prepared while the connection was handed out, under arbitrary settings.
    handed_out: bool,
    /// The earliest time at which the first of them can have been prepared.
    since: Instant,
}

/// The occupant whose statements are in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    None,
    Of(Alike),
    /// One of them may no longer match: they are dropped at the next bind.
    Doubtful,
}

/// What may have happened to prepared statements while only the user could see it.
///
/// Errors on a connection that was handed out go only to its user, including the one of a statement
/// that no longer matches its tables. If such statements were kept, the error would recur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// None: every statement was seen to succeed.
    None,
    /// The connection was handed out, and its use is unknown. The statements are dropped once they
    /// are old, so that they need not be prepared every time.
    HandedOut,
    /// Something has failed.
    Failed,
}

/// Who may use the statements in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The occupant that they were prepared for.
    Same,
    Other,
}

/// Age from which statements are dropped because a connection was handed out.
const OLD: Duration = Duration::from_secs(1);

impl Statements {
    pub(super) fn new() -> Self {
        Self { kept: Kept::None, borrowed: false, handed_out: false, since: Instant::now() }
    }

    /// Records that the cache is cleared.
    pub(super) fn clear(&mut self) {
        (self.borrowed, self.handed_out, self.since) = (false, false, Instant::now());
    }

    /// Records that the cleared cache belongs to no occupant.
    pub(super) fn belong_to_none(&mut self) {
        self.kept = Kept::None;
    }

    /// Records that no other occupant may use them.
    pub(super) fn share_none(&mut self) {
        self.kept = Kept::Of(Alike::Unlike);
    }

    /// Makes the next bind drop all of them.
    pub(super) fn distrust(&mut self) {
        self.kept = Kept::Doubtful;
    }

    /// Returns `true` if the next bind has to drop them.
    pub(super) fn are_doubtful(&self) -> bool {
        self.kept == Kept::Doubtful
    }

    /// Records that a caller may have prepared some, under arbitrary settings.
    pub(super) fn note_handed_out(&mut self) {
        self.handed_out = true;
    }

    /// Returns `true` if they have to be dropped because of what may have happened to them.
    pub(super) fn are_spoilt_by(&self, doubt: Doubt) -> bool {
        match doubt {
            Doubt::None => false,
            Doubt::HandedOut => self.since.elapsed() >= OLD,
            Doubt::Failed => true,
        }
    }

    /// Returns `true` if some of them were prepared for another occupant.
    pub(super) fn are_borrowed(&self) -> bool {
        self.borrowed
    }

    /// Returns `true` if an occupant with this key can use them.
    pub(super) fn fit(&self, alike: Alike, owner: Owner) -> bool {
        match (self.kept, alike) {
            (Kept::None, _) => true,
            // Settings decide how the text of a statement is parsed, and it is not parsed again.
            _ if self.handed_out && owner == Owner::Other => false,
            (Kept::Of(Alike::Key(before)), Alike::Key(now)) => before == now,
            (Kept::Of(Alike::Unlike), Alike::Unlike) => owner == Owner::Same,
            _ => false,
        }
    }

    /// Records that an occupant with this key uses those that were kept, and prepares its own.
    pub(super) fn pass_to(&mut self, alike: Alike, owner: Owner) {
        self.borrowed |= owner == Owner::Other && self.kept != Kept::None;
        self.kept = Kept::Of(alike);
    }

    #[cfg(test)]
    pub(super) fn forget_borrowing(&mut self) {
        self.borrowed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Kept::{Doubtful, None, Of},
        Owner::{Other, Same},
        *,
    };

    #[test]
    fn kept_statements_fit_their_owner_and_alike_occupants() {
        let (key, another) = (Alike::Key(1), Alike::Key(2));
        for (kept, handed_out, now, owner, fits) in [
            (None, true, key, Same, true),
            (Of(key), false, key, Other, true),
            (Of(key), false, another, Other, false),
            (Of(key), false, another, Same, false),
            (Of(key), true, key, Other, false),
            (Of(key), true, key, Same, true),
            (Of(Alike::Unlike), false, Alike::Unlike, Other, false),
            (Of(Alike::Unlike), false, Alike::Unlike, Same, true),
            (Doubtful, false, key, Same, false),
        ] {
            let statements = Statements { kept, handed_out, ..Statements::new() };
            assert_eq!(statements.fit(now, owner), fits, "{kept:?} {handed_out} {now:?} {owner:?}");
        }
    }

    #[test]
    fn statements_are_borrowed_until_they_are_cleared() {
        let mut statements = Statements::new();
        statements.pass_to(Alike::Key(1), Owner::Other);
        assert!(!statements.are_borrowed(), "there were none");
        statements.pass_to(Alike::Key(1), Owner::Same);
        assert!(!statements.are_borrowed());
        statements.pass_to(Alike::Key(1), Owner::Other);
        assert!(statements.are_borrowed());
        statements.pass_to(Alike::Key(1), Owner::Same);
        assert!(statements.are_borrowed(), "the first owner's are still there");
        statements.clear();
        assert!(!statements.are_borrowed());
    }
}
