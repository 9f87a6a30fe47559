//! Routes for those who operate a service: health, readiness and metrics.
//!
//! The handlers decide nothing: what is told, and to whom, is the core's to say.

#[cfg(feature = "prometheus")]
mod registry;
mod scope;
mod service;

pub use scope::{OpsScope, ops_scope};
pub use service::OpsService;
pub use tenantry::ops::RegisterError;
