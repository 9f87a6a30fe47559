//! The mark of a creation: which containers it has made, and what the catalog records meanwhile.

use std::hash::{BuildHasher, RandomState};

use crate::tenant::{Ident, PROVISIONAL};

/// A random number that one creation of a tenant, and those that resume it, write to its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u64);

impl Mark {
    pub(super) fn new() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }

    /// Returns the mark of a move's database: the number of the move.
    pub(super) fn numbered(number: u64) -> Self {
        Self(number)
    }

    /// Reads it from the hexadecimal digits at the start of a text.
    pub(super) fn at_start_of(text: &str) -> Option<Self> {
        let digits = text.get(..DIGITS)?;
        let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hexadecimal.then(|| u64::from_str_radix(digits, 16).ok().map(Self)).flatten()
    }

    /// Returns its digits.
    pub(super) fn digits(self) -> String {
        format!("{:016x}", self.0)
    }

    /// Returns the name that a database has before it gets its tenant's.
    pub(super) fn provisional_name(self) -> Ident {
        let name = format!("{PROVISIONAL}{}", self.digits());
        Ident::parse(&name).expect("it is short and has no NUL")
    }

    /// Returns the comment on a database or schema that it has made.
    pub(super) fn comment(self) -> String {
        format!("tenantry: made by {}", self.digits())
    }

    /// Returns the name under which the container records that its seeds have run.
    pub(super) fn filled(self) -> String {
        format!("tenantry: filled by {}", self.digits())
    }
}

const DIGITS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        let mark = Mark::new();
        assert_eq!(Mark::at_start_of(&format!("{} seeds", mark.digits())), Some(mark));
        assert_eq!(Mark::at_start_of("0123456789abcde"), None);
        assert_eq!(Mark::at_start_of("+123456789abcdef"), None);
        assert_eq!(Mark::at_start_of("0123456789abcdé"), None);
        assert_eq!(Mark(0xab).provisional_name().as_str(), "tenantry_spare_00000000000000ab");
    }
}
