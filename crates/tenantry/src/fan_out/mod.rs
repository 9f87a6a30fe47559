//! One operator statement over many tenants.
//!
//! [`TenantManager::fan_out`](crate::TenantManager::fan_out) creates a [`FanOut`]. It runs one
//! statement on every tenant as the tenant is served (its schema, its role, its settings), a few
//! tenants at a time, within the manager's budget. Rows are delivered as text while they arrive, in
//! [batches](TenantRows) of bounded size, so a result of any size needs little memory; the
//! [report](FanOutReport) lists every tenant.
//!
//! # What the read-only mode does not stop
//!
//! By default the statement runs in a read-only transaction that is rolled back. PostgreSQL then
//! refuses
//! [every command that changes tables](https://www.postgresql.org/docs/current/sql-set-transaction.html),
//! and `set transaction read write` and `set_config('transaction_read_only', …)` have no effect any
//! more. Operations *other* than changing tables remain possible if the role may do them:
//! terminating sessions with `pg_terminate_backend`, reloading the configuration, `notify`, taking
//! locks, writing files with `lo_export`, and anything that a function in an untrusted language,
//! `dblink` or `postgres_fdw` does elsewhere. The mode protects against mistakes. It is not a
//! security boundary; the role's privileges are.

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
