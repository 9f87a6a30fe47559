use sqlx::migrate::{Migration, MigrationType};

use crate::sql::operators_file;

/// The checksum that detects changes of an applied file: SHA-384 of its text, as sqlx records it.
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

    /// Returns the value that is recorded when the file is applied.
    pub(super) fn recorded(&self) -> &[u8] {
        &self.recorded
    }

    /// Returns `true` if this is the recorded checksum.
    pub(super) fn is(&self, recorded: &[u8]) -> bool {
        self.recorded == recorded || self.other_line_ends.iter().any(|other| other == recorded)
    }
}

/// Returns a hash of a set of files in 16 digits. It does not depend on the line endings.
pub(super) fn of_set<'f>(files: impl Iterator<Item = (i64, &'f Checksum)>) -> String {
    let mut text = String::new();
    for (version, checksum) in files {
        let alike = checksum.other_line_ends.iter().chain([&checksum.recorded]);
        let least = alike.min().map(Vec::as_slice).unwrap_or_default();
        text.push_str(&format!("{version} {least:02x?}\n"));
    }
    digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Has sqlx compute the checksum of a text, so that the two always agree.
pub(super) fn digest(text: String) -> Vec<u8> {
    let sql = operators_file(text);
    Migration::new(0, "".into(), MigrationType::Simple, sql, false).checksum.to_vec()
}
