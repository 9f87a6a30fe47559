//! What has to be there before the first request: the schemas of the tenants, their tables, and some rows.

use example_support::crud::{TENANTS, first_users};
use tenantry::{TenantManager, migrate::Migrations};

/// Brings what is there up to date, and creates what is missing. Any number of instances may do so at once.
pub(crate) async fn prepare(manager: &TenantManager) -> anyhow::Result<()> {
    let tenants = Migrations::embedded(&sqlx::migrate!("../axum-crud/migrations/tenants"))?;
    let shared = Migrations::embedded(&sqlx::migrate!("../axum-crud/migrations/shared"))?;
    let migrator = manager.migrator().tenants(tenants.clone()).shared(shared);
    let provisioner = manager.provisioner().tenants(tenants).seed(first_users());
    example_support::prepare(&migrator, &provisioner, TENANTS).await?;
    Ok(())
}
