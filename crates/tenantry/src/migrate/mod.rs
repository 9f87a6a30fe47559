//! Migrations of the schemas of thousands of tenants.
//!
//! [`TenantManager::migrator`](crate::TenantManager::migrator) makes a [`TenantMigrator`];
//! [`Migrations`] are the files, as sqlx knows them. A [`MigrationPlan`] says what would be done, a
//! [`MigrateReport`] what was, each with every tenant in it.

mod apply;
mod board;
mod checksum;
mod failure;
mod lint;
mod migrator;
mod options;
mod plan;
mod report;
mod run;
mod source;
mod survey;
mod targets;
mod tracking;

pub use failure::{Failure, FailureReason};
pub use lint::{Finding, Lint};
pub use migrator::{Schemas, TenantMigrator};
pub use options::{MigrateOptions, OnFailure, TransactionPer, WhenLocked};
pub use plan::{Action, Problem};
pub use report::{
    End, FileDone, MigrateReport, MigrationPlan, Outcome, PendingFile, Progress, SchemaState,
    SchemaStatus, TenantMigration,
};
pub use source::{LintError, MigrationFile, Migrations, MigrationsError};
