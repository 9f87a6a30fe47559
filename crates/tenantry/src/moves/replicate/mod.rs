//! Copies the rows of a tenant by logical replication while it is served.
//!
//! ```text
//!  source   publication of the tenant's tables and a table of markers ─▶ slot
//!  target   empty schema ─▶ subscription: copy of the rows ─▶ changes since ─▶ marker
//! ```
//!
//! The fence writes a marker before it renames the schema. Once the marker is on the target, everything before it is,
//! too: the position in the log alone does not tell this. All names are derived from the number of the move, so that a
//! process that takes the move over finds what there is.

mod allowed;
mod catch_up;
mod compare;
mod hold;
mod names;
mod pace;
mod publication;
mod reach;
mod subscription;
mod whole;

pub(super) use allowed::why_not;
pub(super) use catch_up::{await_copy, await_marker, catch_up};
pub(super) use compare::compare;
pub(super) use names::{forget_publication, mark_sql};
pub(super) use whole::{check, drop_all, start};
