//! Archives of tenants: [`Archiver`].
//!
//! ```text
//!  export   snapshot of the source ─▶ schema, rows, sequences ─▶ temporary folder ─▶ renamed when whole
//!  import   manifest and all files checked ─▶ schema and rows in one transaction ─▶ compared ─▶ served
//!  diff     rows of two tenants in the order of their keys ─▶ counts, and the first keys that differ
//!  merge    chosen rows that differ ─▶ temporary tables of the target ─▶ one statement in one transaction
//! ```
//!
//! An archive is a folder: `manifest.json` describes it, `schema.json` is the [model](crate::schema::SchemaModel) of the
//! schema, `schema.sql` the same as statements, and `rows` has a file for each table. `SHA256SUMS` has the hash of each
//! file, as `sha256sum --check` reads it.

mod archiver;
mod diff;
mod export;
mod folder;
mod import;
mod manifest;
mod merge;
mod open;
mod options;
mod report;

pub use crate::clone::{
    PackedFile as ArchivedFile, PackedSequence as ArchivedSequence, PackedTable as ArchivedTable,
};
pub use archiver::Archiver;
pub use diff::{Compared, DiffOptions, DiffReport, RowDiff, RowFound, TableDiff};
pub use manifest::{FORMAT, Manifest};
pub use merge::{MergeOptions, MergeReport, MergedRow, RowMerge, TableMerge};
pub use options::{ExportOptions, ImportOptions};
pub use report::{ExportReport, ImportReport};
