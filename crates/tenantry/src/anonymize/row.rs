//! The row that a value belongs to.

use super::{
    copy_text,
    integer::IntegerMap,
    key::{Key, Purpose},
};

/// The row that a value belongs to.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) keyed: &'a Keyed,
    pub(super) table: &'a str,
    /// Its number in the table, from 1.
    pub(super) number: u64,
    /// The fields as they were written.
    pub(super) fields: &'a [&'a [u8]],
    /// The places of the columns of the primary key.
    pub(super) identity: &'a [usize],
}

impl<'a> Row<'a> {
    /// Returns a field, unless it is null.
    pub(super) fn field(&self, at: usize) -> Option<&'a [u8]> {
        self.fields.get(at).copied().filter(|field| *field != copy_text::NULL)
    }

    /// Returns the randomness of the row: a hash of its primary key, or of its number if it has none.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut parts = vec![self.table.as_bytes(), b"\0"];
        let number = self.number.to_be_bytes();
        if self.identity.is_empty() {
            parts.push(&number);
        }
        for at in self.identity {
            parts.extend([self.fields.get(*at).copied().unwrap_or_default(), b"\t"]);
        }
        self.keyed.key.digest(Purpose::Row, &parts)
    }
}

/// The key, and values derived from it once.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    pub(super) key: Key,
    pub(super) integers: IntegerMap,
}

impl Keyed {
    pub(super) fn new(key: &Key) -> Self {
        Self { key: key.clone(), integers: IntegerMap::new(key) }
    }
}
