//! Setup before the first request: the tenants' schemas, their tables, and some rows.

use example_support::crud::{TENANTS, first_users};
use tenantry::{TenantManager, migrate::Migrations};

/// Migrates existing tenants, and creates missing ones. Any number of instances can do so
/// concurrently.
pub(crate) async fn prepare(manager: &TenantManager) -> anyhow::Result<()> {
    let tenants = Migrations::embedded(&sqlx::migrate!("../axum-crud/migrations/tenants"))?;
    let shared = Migrations::embedded(&sqlx::migrate!("../axum-crud/migrations/shared"))?;
    let migrator = manager.migrator().tenants(tenants.clone()).shared(shared);
    let provisioner = manager.provisioner().tenants(tenants).seed(first_users());
    example_support::prepare(&migrator, &provisioner, TENANTS).await?;
    Ok(())
}
