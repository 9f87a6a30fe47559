//! A file with the rows of one tenant: its format, and what an export and a restore take and report.
//!
//! [`Provisioner::export_rows`](crate::provision::Provisioner::export_rows) writes it, and
//! [`Provisioner::restore_rows`](crate::provision::Provisioner::restore_rows) reads it.

mod header;
mod options;
mod progress;
mod report;
mod section;

pub(crate) use header::{Column, End, Header, MAGIC, Rows, Table, line, shown};
pub use options::{ExportOptions, RestoreOptions};
pub use progress::RowsProgress;
pub(crate) use progress::{Counter, OnProgress};
pub use report::{ExportReport, RestoreReport};
pub(crate) use section::{END_OF_ROWS, Part, next_part, rows_in};
