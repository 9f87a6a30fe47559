use std::hash::{BuildHasher, RandomState};

use crate::tenant::{Ident, MOVED};

/// The random number of a move, from which the names of everything that it makes are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct MoveId(u64);

impl MoveId {
    pub(super) fn new() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }

    /// Reads its digits.
    pub(super) fn parse(digits: &str) -> Option<Self> {
        let is_hexadecimal =
            digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hexadecimal.then(|| u64::from_str_radix(digits, 16).ok().map(Self)).flatten()
    }

    /// Returns its digits.
    pub(super) fn digits(self) -> String {
        format!("{:016x}", self.0)
    }

    /// Returns its number.
    pub(super) fn number(self) -> u64 {
        self.0
    }

    /// Returns the name of the schema on the source once it is fenced.
    pub(super) fn kept_name(self) -> Ident {
        let name = format!("{MOVED}{}", self.digits());
        Ident::parse(&name).expect("it is short and has no NUL")
    }

    /// Returns the name of the schema on the source in which changes are logged.
    pub(super) fn log_name(self) -> Ident {
        let name = format!("{MOVED}{}_log", self.digits());
        Ident::parse(&name).expect("it is short and has no NUL")
    }
}

/// Returns the schema of the records of moves in a database that is, or becomes, the tenant's own.
pub(super) fn book() -> Ident {
    Ident::parse(BOOK).expect("it is short and has no NUL")
}

/// No move has a number that ends like this.
const BOOK: &str = "tenantry_moved_records";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        let id = MoveId::new();
        assert_eq!(MoveId::parse(&id.digits()), Some(id));
        assert_eq!(MoveId::parse("0123456789abcde"), None);
        assert_eq!(MoveId::parse("+123456789abcdef"), None);
        assert!(book().as_str().starts_with(MOVED));
        assert_eq!(MoveId(0xab).kept_name().as_str(), "tenantry_moved_00000000000000ab");
    }
}
