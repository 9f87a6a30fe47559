//! Marks that identify scratch schemas and roles.

use crate::{
    error::{Error, ErrorKind},
    tenant::{Ident, SCRATCH},
};

/// The unguessable prefix of the names of one proof's scratch schemas and roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark(String);

/// Hexadecimal digits of a mark.
const DIGITS: usize = 16;

/// The start of the comment on a scratch schema or role; the seconds since 1970 follow.
const NOTE: &str = "scratch of a tenantry proof of isolation, created at ";

/// The minimum age of scratch schemas and roles to count as leftovers, in seconds. No proof takes this long.
const ABANDONED: i64 = 60 * 60;

impl Mark {
    /// Generates a random mark.
    pub(super) fn draw() -> Result<Self, Error> {
        let drawn = getrandom::u64().map_err(|error| {
            Error::new(ErrorKind::Unavailable, "generating a random name").with_source(error)
        })?;
        Ok(Self(format!("{SCRATCH}{drawn:016x}_")))
    }

    /// Returns the name of something.
    pub(super) fn name(&self, of: &str) -> Result<Ident, Error> {
        Ident::parse(&format!("{}{of}", self.0)).map_err(|error| {
            Error::new(ErrorKind::Config, "naming a scratch schema").with_source(error)
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `true` if the name belongs to this proof.
    pub(super) fn is_of(&self, name: &str) -> bool {
        name.starts_with(&self.0)
    }
}

/// Returns the comment on an object created at this time, in seconds since 1970.
pub(super) fn note(seconds: i64) -> String {
    format!("{NOTE}{seconds}")
}

/// Returns `true` if a name and its comment are those of a leftover of a proof.
pub(super) fn is_left_behind(name: &str, note: Option<&str>, now: i64) -> bool {
    let marked = name.strip_prefix(SCRATCH).is_some_and(|rest| {
        let digits = rest.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits.count() == DIGITS && rest.as_bytes().get(DIGITS) == Some(&b'_')
    });
    let made = note.and_then(|note| note.strip_prefix(NOTE)?.parse::<i64>().ok());
    marked && made.is_some_and(|made| now.saturating_sub(made) > ABANDONED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_name_and_note_and_is_old_is_left_behind() {
        let mark = Mark::draw().unwrap();
        let name = mark.name("acme").unwrap();
        let (name, note) = (name.as_str(), note(1_000));
        assert!(mark.is_of(name) && !Mark::draw().unwrap().is_of(name));
        assert!(is_left_behind(name, Some(&note), 4_601));
        for (name, note, now) in [
            (name, Some(&*note), 4_600),
            (name, Some(&*note), 0),
            (name, None, 4_601),
            (name, Some("mine"), 4_601),
            (name, Some("scratch of a tenantry proof of isolation, created at"), 4_601),
            (name, Some("scratch of a tenantry proof of isolation, created at x"), 4_601),
            ("tenantry_proof_acme", Some(&*note), 4_601),
            ("tenantry_proof_0123456789abcde_acme", Some(&*note), 4_601),
            ("tenantry_proof_0123456789abcdef0_acme", Some(&*note), 4_601),
            ("tenantry_proof_0123456789ABCDEF_acme", Some(&*note), 4_601),
            ("tenant_acme", Some(&*note), 4_601),
        ] {
            assert!(!is_left_behind(name, note, now), "{name} {note:?} {now}");
        }
    }
}
