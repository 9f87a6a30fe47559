//! Seeds: initial data for tenants' schemas and the shared schema.
//!
//! [`TenantManager::seeder`](crate::TenantManager::seeder) creates a [`Seeder`], which runs [`Seed`]s in existing
//! schemas; [`Provisioner::create`](crate::provision::Provisioner::create) runs them for new tenants.

mod confine;
mod options;
mod record;
mod report;
mod run;
mod seeder;
mod turn;
mod what;

pub(crate) use confine::{confine, release, set_key};
pub use options::SeedOptions;
pub(crate) use record::{
    Noted, copy_rows, ensure_table, forget_rows, has as has_record, list, list_rows,
    note as record, note_rows,
};
pub use report::{SeedOutcome, SeedReport, TenantSeed};
pub(crate) use run::{Ran, caught, in_transaction, outside};
pub use seeder::Seeder;
pub use what::{BoxError, Seed};
