//! Routes for operators: health, readiness and metrics.
//!
//! The handlers decide nothing: the core decides what is reported, and to whom.

#[cfg(feature = "prometheus")]
mod registry;
mod routes;

pub use routes::{OpsRoutes, ops_routes};
pub use tenantry::ops::RegisterError;
