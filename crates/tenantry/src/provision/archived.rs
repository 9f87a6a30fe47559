//! The content of a tenant that is created from an archive.

use parking_lot::Mutex;

use crate::clone::{CloneOptions, Copied, Packed};

/// The files that a new tenant's schema is created from.
pub(super) struct Archived<'a> {
    pub(super) packed: &'a Packed,
    pub(super) options: &'a CloneOptions,
    /// What was created.
    pub(super) copied: Mutex<Option<Copied>>,
}
