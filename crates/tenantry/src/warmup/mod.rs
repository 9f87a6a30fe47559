//! Binding connections before the first request.

mod options;
mod report;
mod run;

pub use options::WarmUp;
pub use report::{TenantWarmUp, WarmUpReport, WarmUpStatus};
pub(crate) use run::{Tenants, warm_up};
