//! Filling the schemas of tenants, and the shared one, with what has to be in them from the start.
//!
//! [`TenantManager::seeder`](crate::TenantManager::seeder) makes a [`Seeder`]; a [`Seed`] is what it runs,
//! and [`Provisioner::create`](crate::provision::Provisioner::create) runs for a new tenant.

mod options;
mod record;
mod report;
mod run;
mod seeder;
mod turn;
mod what;

pub use options::SeedOptions;
pub use report::{SeedOutcome, SeedReport, TenantSeed};
pub(crate) use run::{Ran, caught, in_transaction, outside};
pub use seeder::Seeder;
pub use what::{BoxError, Seed};
