//! Copies a tenant: [`Provisioner::clone_tenant`](crate::provision::Provisioner::clone_tenant).
//!
//! ```text
//!   model of the source ─▶ plan ─▶ tables ─▶ rows, of one snapshot ─▶ keys, indexes, triggers ─▶ sequences ─▶ compare
//!                         (pure)             (INSERT … SELECT, or                                            fingerprints
//!                                             COPY between servers)
//! ```
//!
//! This module copies one schema to another name over the connections that it is given. The
//! [provisioner](crate::provision) decides which tenant that is, and adds it to the catalog in the same transaction.

mod anonymized;
mod collected;
mod content;
mod copy;
mod error;
mod feeding;
mod in_steps;
mod keyed;
mod masking;
mod merging;
mod of_tables;
mod options;
mod pack;
mod packed;
mod plan;
mod progress;
mod report;
mod row_file;
mod rows;
mod sequences;
mod settings;
mod shared;
mod staged;
mod stamp;
mod stream;
mod subset;
mod verify;

pub use anonymized::{AnonymizeReport, Leak, MaskedColumn, Proof};
pub(crate) use content::{Content, contents, different, set_alike};
pub(crate) use copy::{Copied, Copying, Ends, Source, export, share_sql};
pub(crate) use error::{failed, failed_in_secret};
pub(crate) use feeding::{Feeding, feeding, sequences_of};
pub(crate) use keyed::{
    KeyOrder, KeyedTable, Reading, Tables as KeyedTables, tables as keyed_tables,
};
pub(crate) use masking::Masking;
pub(crate) use merging::{Written, changed, hold_for_writing, ready, unready, write};
pub(crate) use of_tables::{of_tables, unpartitioned};
pub use options::CloneOptions;
pub(crate) use packed::{Packed, ROWS, name_of_rows};
pub use packed::{PackedFile, PackedSequence, PackedTable};
pub(crate) use plan::{Names, Plan};
pub use progress::{CloneProgress, CloneStage};
pub use report::{CloneReport, ClonedTable};
pub(crate) use row_file::{FileReader, FileWriter, check_file, refused as refused_archive};
pub(crate) use settings::{in_snapshot_sql, session_sql, unlimited_sql};
pub(crate) use shared::Shared;
pub(crate) use staged::{Staged, Write};
pub(crate) use stamp::{PressError, Stamp, different_rows};
pub(crate) use verify::read as read_model;
