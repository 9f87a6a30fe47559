//! Serving until the process is told to stop, and graceful shutdown: the basis of the adapters'
//! `serve`.
//!
//! Applications use `tenantry_axum::serve` or `tenantry_actix::serve`. Each covers only its
//! framework; signals, phases, deadlines and the [report](ServeReport) are the same, and are
//! defined here. An adapter for another framework implements [`Serving`] and calls
//! [`ServeOptions::run`].
//!
//! # The order of a graceful shutdown
//!
//! 1. **Serving**, until SIGTERM, Ctrl-C, the future of [`stop_when`](ServeOptions::stop_when), or
//!    [`begin_closing`](crate::TenantManager::begin_closing).
//! 2. **Not ready**: [`closing`](crate::TenantManager::closing) resolves and `/readyz` answers 503. Requests are
//!    still accepted for the [`ready_delay`](ServeOptions::ready_delay).
//! 3. **Draining**: no connection is accepted, idle ones are closed, and requests in flight have
//!    the [`drain`](ServeOptions::drain) time.
//! 4. **Cut**: the remaining connections are cut, even in the middle of a request or response.
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

/// A server that runs while it is polled, until it is told to stop. Use this type for a struct
/// field, to create the server in one place and await it in another.
pub type ServeFuture = Pin<Box<dyn Future<Output = io::Result<ServeReport>> + Send>>;
