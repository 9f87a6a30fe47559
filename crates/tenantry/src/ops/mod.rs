//! Framework-independent responses for operators: health and metrics over HTTP.
//!
//! Applications do not need this module: the routes of `tenantry-axum` and `tenantry-actix` are
//! built on it, and those for another framework can be, too. Such an adapter has a route for each
//! method of [`Ops`], for `GET` and `HEAD`, and sends the [`Answer`].
//!
//! This module decides who may read the responses, and how little the public routes reveal; the
//! content comes from the manager and the registry.
//!
//! # Examples
//!
//! ```
//! # #[cfg(feature = "prometheus")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tenantry::{TenantManager, ops::OpsOptions};
//!
//! let manager = TenantManager::builder("postgres://app@localhost/saas").build()?;
//! let ops = OpsOptions::new(manager).basic_auth("prometheus", "secret").build()?;
//!
//! let authorization: [&[u8]; 1] = [b"Basic cHJvbWV0aGV1czpzZWNyZXQ="];
//! assert_eq!(ops.metrics(authorization).status_code(), 200);
//! assert_eq!(ops.metrics([]).status_code(), 401);
//! # Ok(()) }
//! # #[cfg(not(feature = "prometheus"))]
//! # fn main() {}
//! ```

mod allowance;
mod answer;
mod basic_auth;
#[cfg(feature = "prometheus")]
mod figures;
#[cfg(not(feature = "prometheus"))]
#[path = "no_figures.rs"]
mod figures;
#[expect(clippy::module_inception, reason = "the file is named by the concept it holds")]
mod ops;
mod options;
mod register_error;
mod shared_answer;

pub use answer::Answer;
pub use ops::Ops;
pub use options::OpsOptions;
pub use register_error::RegisterError;
