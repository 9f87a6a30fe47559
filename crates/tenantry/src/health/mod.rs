//! Health of the database and of the tenants.
//!
//! A tenant with problems is reported but makes nothing else unhealthy: a load balancer must not
//! remove a whole instance because of it.

mod check;
mod extensions;
mod grade;
mod options;
mod probe;
mod report;

#[cfg(feature = "prometheus")]
pub(crate) use check::Summary;
pub(crate) use check::{Checks, Subject};
pub(crate) use extensions::unreachable;
pub use extensions::{Unreachable, UnreachableExtension};
pub use grade::HealthStatus;
pub use options::{HealthOf, HealthOptions};
pub(crate) use report::SATURATED;
pub use report::{
    CitusHealth, HealthReport, Holder, ReplicaHealth, Saturation, ServerHealth, SharedHealth,
    TenantHealth,
};
