//! Trying again what may succeed the next time.
//!
//! The pool tries again when a connection cannot be opened, and the manager when the catalog cannot be
//! asked; a statement is never sent twice. [`retry`] and [`Retrier`] are the same for whatever else a
//! program does.

mod policy;
mod run;
mod transient;

pub use policy::RetryPolicy;
pub use run::{Retrier, retry};
pub use transient::Transient;
