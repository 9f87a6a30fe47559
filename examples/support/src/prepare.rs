//! What has to be there before the first request.

use tenantry::{
    Error, ErrorKind, Isolation, SchemaDiscovery, TenantManager,
    migrate::{MigrateOptions, Migrations, TenantMigrator},
    provision::{CreateOptions, Provisioner},
};

/// Makes the manager of a service whose tenants, acme and globex, have a schema each, and prepares both.
///
/// # Errors
///
/// The files or the URL cannot be used, or as [`prepare`].
///
/// # Cancel safety
///
/// As [`prepare`].
pub async fn acme_and_globex(
    url: &str,
    files: &sqlx::migrate::Migrator,
    max_connections: usize,
) -> Result<TenantManager, Error> {
    let manager = TenantManager::builder(url)
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(SchemaDiscovery::default())
        .max_connections(max_connections)
        .build()?;
    manager.migrate(files).await?;
    let provisioner = manager.provisioner().tenants(Migrations::embedded(files)?);
    create(&provisioner, ["acme", "globex"]).await?;
    Ok(manager)
}

/// Migrates the schemas that exist, and creates tenants that are missing. Any number of instances may do so at once.
///
/// # Errors
///
/// A schema could not be migrated, or a tenant not be created.
///
/// # Cancel safety
///
/// When cancelled, some schemas may be migrated and some tenants created; each is as a whole.
pub async fn prepare(
    migrator: &TenantMigrator,
    provisioner: &Provisioner,
    tenants: impl IntoIterator<Item = &str>,
) -> Result<(), Error> {
    migrate(migrator).await?;
    create(provisioner, tenants).await
}

async fn create(
    provisioner: &Provisioner,
    tenants: impl IntoIterator<Item = &str>,
) -> Result<(), Error> {
    for tenant in tenants {
        match provisioner.create(tenant, CreateOptions::default()).await {
            // From an earlier start, or another instance has just created it.
            Err(error) if error.kind() == ErrorKind::TenantExists => {}
            created => tracing::info!(tenant, took = ?created?.duration, "created"),
        }
    }
    Ok(())
}

/// Migrates the schemas that exist.
///
/// # Errors
///
/// A schema could not be migrated. The log has the whole report, the error the first failure.
///
/// # Cancel safety
///
/// As [`prepare`].
pub async fn migrate(migrator: &TenantMigrator) -> Result<(), Error> {
    let migrated = migrator.migrate_all(MigrateOptions::default()).await?.into_result();
    if let Err(incomplete) = &migrated {
        for line in incomplete.report().to_string().lines().filter(|line| !line.is_empty()) {
            tracing::error!("{line}");
        }
    }
    Ok(migrated.map(drop)?)
}
