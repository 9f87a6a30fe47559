//! Progress of a clone.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::options::OnProgress;

/// Progress of a clone, for [`CloneOptions::on_progress`](super::CloneOptions::on_progress).
///
/// `Display` writes one line: `rows: 3 of 20 tables, 12000 rows, orders`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloneProgress<'a> {
    /// The current stage.
    pub stage: CloneStage,
    /// The table whose rows are being copied or were copied last.
    pub table: Option<&'a str>,
    /// Tables whose rows were copied so far.
    pub tables: usize,
    /// Tables whose rows will be copied in total.
    pub tables_total: usize,
    /// Rows copied so far.
    pub rows: u64,
    /// Bytes copied so far: as text for rows that pass through this process, and as stored in the source for all
    /// others.
    pub bytes: u64,
}

/// A stage of a clone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloneStage {
    /// Types, functions, tables and views are created.
    Structure,
    /// Rows are copied.
    Rows,
    /// Keys, indexes, triggers, policies and privileges are created.
    Indexes,
    /// Materialized views are populated.
    Views,
    /// The clone is searched for source values that were masked.
    Proof,
    /// The copy is compared with its source.
    Check,
}

impl fmt::Display for CloneStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Structure => "structure",
            Self::Rows => "rows",
            Self::Indexes => "indexes",
            Self::Views => "views",
            Self::Proof => "proof",
            Self::Check => "check",
        })
    }
}

impl fmt::Display for CloneProgress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, table, tables, tables_total, rows, bytes } = self;
        write!(f, "{stage}: {tables} of {tables_total} tables, ")?;
        match (rows, bytes) {
            // The rows that replication copies are not counted.
            (0, 1..) => write!(f, "{bytes} bytes")?,
            _ => write!(f, "{rows} rows")?,
        }
        table.map_or(Ok(()), |table| write!(f, ", {table}"))
    }
}

/// Counts, and calls the application's closure.
pub(super) struct Counter {
    on_progress: Option<Arc<OnProgress>>,
    stage: CloneStage,
    pub(super) tables: usize,
    pub(super) tables_total: usize,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    untold: u64,
}

/// How often progress is reported, in bytes.
const TOLD: u64 = 1024 * 1024;

impl Counter {
    pub(super) fn new(on_progress: Option<Arc<OnProgress>>, tables_total: usize) -> Self {
        let stage = CloneStage::Structure;
        Self { on_progress, stage, tables: 0, tables_total, rows: 0, bytes: 0, untold: 0 }
    }

    pub(super) fn begin(&mut self, stage: CloneStage) {
        self.stage = stage;
        self.tell(None);
    }

    /// Counts bytes of a table, and reports progress from time to time.
    pub(super) fn add(&mut self, table: &str, bytes: u64) {
        self.bytes += bytes;
        self.untold += bytes;
        if self.untold >= TOLD {
            self.untold = 0;
            self.tell(Some(table));
        }
    }

    pub(super) fn tell(&self, table: Option<&str>) {
        let Some(on_progress) = &self.on_progress else { return };
        let progress = CloneProgress {
            stage: self.stage,
            table,
            tables: self.tables,
            tables_total: self.tables_total,
            rows: self.rows,
            bytes: self.bytes,
        };
        if catch_unwind(AssertUnwindSafe(|| on_progress(&progress))).is_err() {
            tracing::error!(target: "tenantry::hook", "the progress callback of a clone panicked");
        }
    }
}
