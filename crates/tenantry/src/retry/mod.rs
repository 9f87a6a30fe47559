//! Retries of transient failures.
//!
//! The pool retries failed connects, and the manager retries failed catalog queries; a statement is
//! never sent twice. [`retry`] and [`Retrier`] do the same for other operations of a program.

mod policy;
mod run;
mod transient;

pub use policy::RetryPolicy;
pub use run::{Retrier, retry};
pub use transient::Transient;
