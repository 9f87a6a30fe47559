//! Routes for those who operate a service: health, readiness and metrics.
//!
//! The handlers decide nothing: what is told, and to whom, is the core's to say.

#[cfg(feature = "prometheus")]
mod registry;
mod routes;

pub use routes::{OpsRoutes, ops_routes};
pub use tenantry::ops::RegisterError;
