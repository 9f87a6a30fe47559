//! Setup before the first request: the tenants' schemas, their tables, and some rows.

use example_support::crud::{TENANTS, first_users};
use tenantry::{TenantManager, migrate::Migrations};
use tenantry_cli::Cli;

/// Migrates existing tenants, and creates missing ones. Any number of instances can do so
/// concurrently.
pub(crate) async fn prepare(manager: &TenantManager) -> anyhow::Result<()> {
    let tenants = tenant_migrations()?;
    let migrator = manager.migrator().tenants(tenants.clone()).shared(shared_migrations()?);
    let provisioner = manager.provisioner().tenants(tenants).seed(first_users());
    example_support::prepare(&migrator, &provisioner, TENANTS).await?;
    Ok(())
}

/// The commands of `tenantry`, on this service's migrations and seeds.
pub(crate) fn commands(manager: TenantManager) -> anyhow::Result<Cli> {
    let commands = Cli::new()
        .name("axum-crud")
        .manager(manager)
        .migrations(tenant_migrations()?)
        .shared_migrations(shared_migrations()?)
        .seeds([first_users()]);
    Ok(commands)
}

fn tenant_migrations() -> anyhow::Result<Migrations> {
    let users = include_str!("../migrations/tenants/0001_users.sql");
    Ok(Migrations::from_files([("0001_users.sql", users)])?)
}

fn shared_migrations() -> anyhow::Result<Migrations> {
    let plans = include_str!("../migrations/shared/0001_plans.sql");
    Ok(Migrations::from_files([("0001_plans.sql", plans)])?)
}
