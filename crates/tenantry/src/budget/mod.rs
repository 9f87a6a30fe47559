//! One budget for many processes.
//!
//! Each process has a row in a table, with what it wants and what it may have. With every beat it
//! reads the rows of all, computes its share, and writes its own row. [`allocation`] decides what
//! it gets, [`member`] for how long it may use that, and [`sightings`] who else is still there.
//! These do no I/O.

mod allocation;
mod beat;
mod failure;
mod member;
mod options;
mod sightings;
#[cfg(test)]
mod simulation;
mod table;
mod word;

use std::time::Duration;

pub(crate) use beat::{create_table, share};
pub use options::SharedBudget;

/// How long after its last beat the lease of a process expires for the others.
const EXPIRES_AFTER: Duration = Duration::from_secs(15);

/// How long after its last answered beat a process falls back to its floor. It is so much less
/// than the above that it has done so when its lease expires.
const FALLS_BACK_AFTER: Duration = Duration::from_secs(10);

/// How long a process whose lease has expired must have no session until its floor is given to
/// others.
const GONE_AFTER: Duration = Duration::from_secs(20);

/// The longest time between two looks that count as one absence.
const LONGEST_LOOK: Duration = Duration::from_secs(10);
