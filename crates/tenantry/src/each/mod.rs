//! Work over all tenants.
//!
//! [`TenantManager::for_each_tenant`](crate::TenantManager::for_each_tenant) runs a closure with
//! the database of every tenant, a few tenants at a time, and returns an [`EachReport`] that lists
//! every tenant: a failure neither ends the run nor hides another tenant's result.
//!
//! [`TenantManager::survey`](crate::TenantManager::survey) queries one value from each tenant, with
//! one message per batch of about a hundred tenants.
//!
//! To run one operator statement and read its rows as text, use [`fan_out`](crate::fan_out); it
//! needs no Rust type for the result.

mod batch;
mod failure;
mod options;
mod report;
mod run;
mod survey;
mod together;

pub use options::EachOptions;
pub use report::{EachEnd, EachFailure, EachOutcome, EachReport, TenantEach};
pub(crate) use run::{for_each, visit_each};
pub use survey::Survey;
