use sqlx::migrate::{Migration, MigrationType};

use crate::sql::operators_file;

/// What tells whether a file is still the one that was applied: SHA-384 of its text, as sqlx records it.
///
/// A file that was checked out with other line ends is the same file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checksum {
    recorded: Vec<u8>,
    other_line_ends: Vec<Vec<u8>>,
}

impl Checksum {
    pub(super) fn new(migration: &Migration) -> Self {
        let recorded = migration.checksum.to_vec();
        let text = migration.sql.as_str();
        let unix = text.replace("\r\n", "\n");
        let windows = unix.replace('\n', "\r\n");
        let others = [unix, windows].into_iter().filter(|other| other != text);
        Self { recorded, other_line_ends: others.map(digest).collect() }
    }

    /// Returns what is recorded when the file is applied.
    pub(super) fn recorded(&self) -> &[u8] {
        &self.recorded
    }

    /// Says whether this is what was recorded when the file was applied.
    pub(super) fn is(&self, recorded: &[u8]) -> bool {
        self.recorded == recorded || self.other_line_ends.iter().any(|other| other == recorded)
    }
}

/// Has sqlx compute the checksum of a text, so that it is sqlx's in any case.
fn digest(text: String) -> Vec<u8> {
    let sql = operators_file(text);
    Migration::new(0, "".into(), MigrationType::Simple, sql, false).checksum.to_vec()
}
