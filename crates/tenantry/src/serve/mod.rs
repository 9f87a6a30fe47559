//! Serving until the process is told to stop, and stopping in order: what the adapters' `serve` are made of.
//!
//! An application uses `tenantry_axum::serve` or `tenantry_actix::serve`. Both know their framework and nothing
//! else; signals, phases, deadlines and the [report](ServeReport) are the same, and are here. An adapter for another
//! framework implements [`Serving`] and calls [`ServeOptions::run`].
//!
//! # The order of a graceful shutdown
//!
//! 1. **Serving**, until SIGTERM, Ctrl-C, the future of [`stop_when`](ServeOptions::stop_when), or
//!    [`begin_closing`](crate::TenantManager::begin_closing).
//! 2. **Not ready**: [`closing`](crate::TenantManager::closing) resolves and `/readyz` answers 503. Requests are
//!    still accepted for the [`ready_delay`](ServeOptions::ready_delay).
//! 3. **Draining**: no connection is accepted, idle ones are closed, and requests under way have the
//!    [`drain`](ServeOptions::drain) time.
//! 4. **Cut**: connections that are left are cut, be it in the middle of a request or of a response.
//! 5. **Closing**: [`close_within`](crate::TenantManager::close_within) closes the manager.
//!
//! A second signal in phase 2, 3 or 5 ends all of it at once: see [`ServeEnd::Forced`].

mod bind;
mod options;
mod report;
mod run;
mod signals;

use std::{io, pin::Pin};

pub use bind::bind;
pub use options::ServeOptions;
pub use report::{ServeEnd, ServeReport};
pub use run::Serving;

/// A server that runs while it is polled, until it is told to stop: for a field of a program that makes it in one place
/// and awaits it in another.
pub type ServeFuture = Pin<Box<dyn Future<Output = io::Result<ServeReport>> + Send>>;
