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
mod copy;
mod error;
mod in_steps;
mod masking;
mod options;
mod plan;
mod progress;
mod report;
mod rows;
mod sequences;
mod settings;
mod stamp;
mod stream;
mod subset;
mod verify;

pub use anonymized::{AnonymizeReport, Leak, MaskedColumn, Proof};
pub(crate) use copy::{Copied, Copying, Ends, Source};
pub(crate) use masking::Masking;
pub use options::CloneOptions;
pub(crate) use plan::Plan;
pub use progress::{CloneProgress, CloneStage};
pub use report::{CloneReport, ClonedTable};
pub(crate) use settings::{in_snapshot_sql, session_sql, unlimited_sql};
pub(crate) use stamp::{PressError, Stamp, different_rows};
