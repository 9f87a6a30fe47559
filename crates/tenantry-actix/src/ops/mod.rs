//! Routes for operators: health, readiness and metrics.
//!
//! The handlers decide nothing: the core decides what is reported, and to whom.

#[cfg(feature = "prometheus")]
mod registry;
mod scope;
mod service;

pub use scope::{OpsScope, ops_scope};
pub use service::OpsService;
pub use tenantry::ops::RegisterError;
