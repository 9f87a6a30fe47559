//! Isolation by row: the SQL that keeps tenants apart in tables that all of them use, and its
//! verification.
//!
//! Every session of a tenant has the tenant's key in a setting. On each table, a policy compares
//! the tenant column with it, so a statement sees and writes the rows of one tenant.
//!
//! - [`RowTables`] writes the policies, defaults, keys and grants, for a migration file: for new
//!   tables, and for existing ones in steps that hold no lock for long.
//! - [`TenantManager::verify_rows`](crate::TenantManager::verify_rows) reads the system catalogs and
//!   reports what goes around the policies, and
//!   [`refuse_unsafe_rows`](crate::TenantManager::refuse_unsafe_rows) makes that an error when a
//!   service starts.
//! - [`Provisioner::export_rows`](crate::provision::Provisioner::export_rows) writes the rows of a
//!   tenant to a file, and [`restore_rows`](crate::provision::Provisioner::restore_rows) reads it,
//!   with the options and reports of this module.
//!
//! See [`Isolation::row`](crate::Isolation::row) for the sessions, and PostgreSQL's chapter on
//! [row security policies](https://www.postgresql.org/docs/current/ddl-rowsecurity.html).

pub(crate) mod file;
mod table_rows;
mod tables;
mod verify;

pub use file::{ExportOptions, ExportReport, RestoreOptions, RestoreReport, RowsProgress};
pub use table_rows::TableRows;
pub use tables::{RowStep, RowTable, RowTables};
pub(crate) use verify::verify;
pub use verify::{RowsFinding, RowsReport, RowsRule, UnsafeRows};
