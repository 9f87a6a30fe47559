//! Baselines: tenants whose schemas were made by another tool, recorded as migrated up to the version that they have.
//!
//! ```text
//!   schemas without records ─▶ groups of equal ones ─▶ details of one of each ─┐
//!                                                                              ├─▶ compare ─▶ record ─▶ report
//!   the migrations, one by one in a scratch schema ─▶ what each version makes ─┘
//! ```
//!
//! [`TenantMigrator::baseline`](crate::migrate::TenantMigrator::baseline) compares each schema with what the migrations
//! make, and records those that it has; no file is run in it.
//! [`TenantMigrator::baseline_script`](crate::migrate::TenantMigrator::baseline_script) writes the first migration of a
//! schema for which there are no files yet.

mod likeness;
mod options;
mod report;
mod run;
mod script;

pub use options::Baseline;
pub use report::{BaselineOutcome, BaselineReport, BaselineVersion, TenantBaseline};
pub use script::BaselineScript;
