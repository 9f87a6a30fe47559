//! Setup before the first request.

use tenantry::{
    Error, ErrorKind, Isolation, SchemaDiscovery, TenantManager,
    migrate::{MigrateOptions, Migrations, TenantMigrator},
    provision::{CreateOptions, Provisioner},
};

/// Creates the manager of a service with the tenants acme and globex, in a schema each, and
/// prepares both.
///
/// # Errors
///
/// If the files or the URL are invalid, and those of [`prepare`].
///
/// # Cancel safety
///
/// Like [`prepare`].
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

/// Migrates existing schemas, and creates missing tenants. Any number of instances can do so
/// concurrently.
///
/// # Errors
///
/// If a schema cannot be migrated, or a tenant cannot be created.
///
/// # Cancel safety
///
/// When cancelled, some schemas may be migrated and some tenants created, each completely.
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
            // It exists from an earlier start, or another instance has just created it.
            Err(error) if error.kind() == ErrorKind::TenantExists => {}
            created => tracing::info!(tenant, took = ?created?.duration, "created"),
        }
    }
    Ok(())
}

/// Migrates existing schemas.
///
/// # Errors
///
/// If a schema cannot be migrated. The log contains the whole report, the error the first failure.
///
/// # Cancel safety
///
/// Like [`prepare`].
pub async fn migrate(migrator: &TenantMigrator) -> Result<(), Error> {
    let migrated = migrator.migrate_all(MigrateOptions::default()).await?.into_result();
    if let Err(incomplete) = &migrated {
        for line in incomplete.report().to_string().lines().filter(|line| !line.is_empty()) {
            tracing::error!("{line}");
        }
    }
    Ok(migrated.map(drop)?)
}
