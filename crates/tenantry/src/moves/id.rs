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

    /// Returns the name of the schema on the source once it is fenced.
    pub(super) fn kept_name(self) -> Ident {
        let name = format!("{MOVED}{}", self.digits());
        Ident::parse(&name).expect("it is short and has no NUL")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        let id = MoveId::new();
        assert_eq!(MoveId::parse(&id.digits()), Some(id));
        assert_eq!(MoveId::parse("0123456789abcde"), None);
        assert_eq!(MoveId::parse("+123456789abcdef"), None);
        assert_eq!(MoveId(0xab).kept_name().as_str(), "tenantry_moved_00000000000000ab");
    }
}
