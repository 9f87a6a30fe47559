//! Baselines: schemas created by another tool are recorded as migrated up to the version that they
//! have.
//!
//! ```text
//!   schemas without records ─▶ groups of equal ones ─▶ details of one of each ─┐
//!                                                                              ├─▶ compare ─▶ record ─▶ report
//!   the migrations, one by one in a scratch schema ─▶ what each version makes ─┘
//! ```
//!
//! [`TenantMigrator::baseline`](crate::migrate::TenantMigrator::baseline) compares each schema with
//! the result of the migrations, and records those that it already has, without running a file in
//! it. [`TenantMigrator::baseline_script`](crate::migrate::TenantMigrator::baseline_script) writes
//! the first migration for a schema that has no files yet.

mod likeness;
mod options;
mod report;
mod run;
mod script;

pub use options::Baseline;
pub use report::{BaselineOutcome, BaselineReport, BaselineVersion, TenantBaseline};
pub use script::BaselineScript;
