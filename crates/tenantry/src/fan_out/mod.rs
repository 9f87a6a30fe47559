//! One statement of an operator's over many tenants.
//!
//! [`TenantManager::fan_out`](crate::TenantManager::fan_out) makes a [`FanOut`]. It runs one statement on every
//! tenant as the tenant is served (its schema, its role, its settings), a few tenants at a time, within the
//! manager's budget. Rows are handed over as text while they arrive, in [batches](TenantRows) of bounded size, so
//! that a result of any size needs little memory; the [report](FanOutReport) has every tenant in it.
//!
//! # What the read-only mode does not stop
//!
//! By default the statement runs in a transaction that only reads and is rolled back. PostgreSQL then refuses
//! [every command that changes tables](https://www.postgresql.org/docs/current/sql-set-transaction.html), and
//! `set transaction read write` and `set_config('transaction_read_only', …)` come too late. What a role may do
//! *besides* changing tables stays possible: ending sessions with `pg_terminate_backend`, reloading the
//! configuration, `notify`, taking locks, writing files with `lo_export`, and whatever a function in an untrusted
//! language, `dblink` or `postgres_fdw` does elsewhere. It protects from mistakes, and is not a security boundary:
//! that is the role's privileges.

pub(crate) mod board;
mod options;
pub(crate) mod readable;
mod refusal;
mod report;
mod rows;
mod run;
pub(crate) mod targets;
mod visit;

pub use options::{FanOutMode, FanOutOptions};
pub use refusal::RefusedStatement;
pub use report::{FanOutEnd, FanOutFailure, FanOutOutcome, FanOutReport, TenantFanOut};
pub use rows::{Column, TenantRows};
pub use run::FanOut;
