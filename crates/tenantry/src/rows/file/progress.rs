//! Progress of an export or a restore.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

pub(crate) type OnProgress = dyn Fn(&RowsProgress<'_>) + Send + Sync;

/// How often progress is reported, in bytes.
const TOLD: u64 = 1024 * 1024;

/// Progress of an [export](super::ExportOptions::on_progress) or a
/// [restore](super::RestoreOptions::on_progress).
///
/// `Display` writes one line: `3 of 20 tables, 12000 rows, orders`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowsProgress<'a> {
    /// The table whose rows are on their way.
    pub table: &'a str,
    /// Tables whose rows have passed completely.
    pub tables: usize,
    /// Tables in total.
    pub tables_total: usize,
    /// Rows that have passed so far.
    pub rows: u64,
    /// Bytes of rows that have passed so far.
    pub bytes: u64,
}

impl fmt::Display for RowsProgress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, tables, tables_total, rows, .. } = self;
        write!(f, "{tables} of {tables_total} tables, {rows} rows, {table}")
    }
}

/// Counts, and calls the application's closure.
pub(crate) struct Counter<'a> {
    on_progress: Option<&'a Arc<OnProgress>>,
    tables: usize,
    tables_total: usize,
    rows: u64,
    bytes: u64,
    untold: u64,
}

impl<'a> Counter<'a> {
    pub(crate) fn new(on_progress: Option<&'a Arc<OnProgress>>, tables_total: usize) -> Self {
        Self { on_progress, tables: 0, tables_total, rows: 0, bytes: 0, untold: 0 }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Counts rows of a table on their way.
    pub(crate) fn add(&mut self, table: &str, rows: u64, bytes: usize) {
        self.rows += rows;
        self.bytes += bytes as u64;
        self.untold += bytes as u64;
        if self.untold >= TOLD {
            self.tell(table);
        }
    }

    /// Counts a table.
    pub(crate) fn end(&mut self, table: &str) {
        self.tables += 1;
        self.tell(table);
    }

    fn tell(&mut self, table: &str) {
        self.untold = 0;
        let Some(on_progress) = self.on_progress else { return };
        let (tables, tables_total) = (self.tables, self.tables_total);
        let progress =
            RowsProgress { table, tables, tables_total, rows: self.rows, bytes: self.bytes };
        if catch_unwind(AssertUnwindSafe(|| on_progress(&progress))).is_err() {
            tracing::error!(target: "tenantry::hook", "the progress callback of an export or a restore panicked");
        }
    }
}
