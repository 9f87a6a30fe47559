//! Migrations for the schemas of thousands of tenants.
//!
//! [`TenantManager::migrator`](crate::TenantManager::migrator) creates a [`TenantMigrator`]; [`Migrations`] are the
//! files, in sqlx's format. A [`MigrationPlan`] lists what a run would do, a [`MigrateReport`] what it did, for every
//! tenant.

mod apply;
mod baseline;
mod board;
mod checksum;
mod collision;
mod failure;
mod hint;
mod included;
mod invalid;
mod lane;
mod latecomers;
mod ledger;
mod lint;
mod memory;
mod migrator;
mod misremembered;
mod newcomers;
mod options;
mod outside;
mod plan;
mod privileges;
mod remains;
mod remembered;
mod remembering;
mod report;
mod run;
mod schemas;
mod scope;
mod script;
mod sent;
mod settings;
mod source;
mod sqlx_lock;
mod stage;
mod standing;
pub(crate) mod stored_names;
mod survey;
mod tally;
mod targets;
mod tracking;
mod turn;

pub(crate) use apply::{apply_all, catch_up};
pub(crate) use baseline::Standing;
pub(crate) use collision::{Attempts, Collision};
pub use failure::{Failure, FailureReason};
pub(crate) use hint::explained_error;
pub use invalid::Invalid;
pub use lint::{FileFinding, Finding, Lint, LintError, LintReport, Rule};
pub(crate) use lint::{Of, statements, unescaped};
pub use migrator::TenantMigrator;
pub(crate) use migrator::{check_sql, lint_all};
pub use misremembered::Misremembered;
pub(crate) use misremembered::forget_misremembered;
pub use options::{MigrateOptions, OnFailure, TransactionPer, WhenLocked, WithoutRecords};
pub use plan::{Action, Problem};
pub use report::{
    BegunFile, End, FileDone, MigrateReport, MigrationPlan, Outcome, PendingFile, Progress,
    SchemaState, SchemaStatus, TenantMigration,
};
pub use schemas::Schemas;
pub(crate) use sent::{Ran, Sent, run_script, run_script_on};
pub(crate) use settings::set_limits;
pub(crate) use source::body_in_transaction;
pub use source::{MigrationFile, Migrations, MigrationsError};
pub(crate) use survey::recorded_versions;
pub(crate) use targets::{RowTenants, Target, targets_of};
pub(crate) use tracking::{LOCK_OF_SCHEMA, create as create_records, latest_in, try_lock};
