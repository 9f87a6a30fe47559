//! Routes for those who operate a service: health, readiness and metrics.
//!
//! The handlers decide nothing: the manager says how it fares, and the registry what it counts. What
//! is decided here is who may read it, and how little the open ones tell.

mod auth;
mod health;
mod metrics;
mod register_error;
mod routes;

pub use register_error::RegisterError;
pub use routes::{OpsRoutes, ops_routes};
