//! Assignment of connections to requests: a state machine driven by events and time, without I/O.
//!
//! The scheduler knows connections and tenants as numbers. Every event is a method; external work
//! is left in a queue of [`Action`]s that the caller takes afterwards. No event costs more than
//! O(log n) in the number of tenants or waiters, and only [`Scheduler::tick`] iterates over every
//! connection.
//!
//! ```text
//!            Open                opened                    acquire
//!   free ───────────▶ opening ───────────▶ idle / granted ◀─────────▶ leased
//!    ▲                                        │                          │
//!    └──────────────── closing ◀──────────────┴──────────────────────────┘
//!         closed                  Close (idle, old, retired, broken, shut down)
//! ```

mod action;
mod books;
mod changes;
mod conn;
mod counts;
mod decide;
mod fair;
mod heat;
mod homes;
mod limits;
mod list;
mod machine;
mod resize;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod simulation_of_homes;
mod supply;
mod tenant;
#[cfg(test)]
mod tests;
mod usage;
mod weight;

pub(crate) use action::{Acquire, Action, How, Refusal, Released};
pub(crate) use conn::ConnId;
pub(crate) use counts::{Counts, TenantCounts};
pub(crate) use limits::{Limits, OwnLimits, Time};
pub(crate) use machine::Scheduler;
pub(crate) use supply::Supply;
pub(crate) use tenant::{Class, TenantKey, Ticket};
pub(crate) use usage::Usage;
pub(crate) use weight::Weight;
