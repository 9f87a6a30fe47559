//! What has to be there before the first request.

use tenantry::{
    Error, ErrorKind,
    migrate::{MigrateOptions, MigrateReport, TenantMigrator},
    provision::{CreateOptions, Provisioner},
};

/// Why the tenants are not ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// Some schemas could not be migrated. The log has the report.
    #[error("some schemas could not be migrated, first {of}: {why}")]
    Migrate {
        /// Which schema was first.
        of: String,
        /// What its first file failed with.
        why: String,
    },
    /// Something else failed.
    #[error(transparent)]
    Tenantry(#[from] Error),
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
) -> Result<(), PrepareError> {
    migrate(migrator).await?;
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
/// A schema could not be migrated.
///
/// # Cancel safety
///
/// As [`prepare`].
pub async fn migrate(migrator: &TenantMigrator) -> Result<(), PrepareError> {
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    if report.is_success() {
        return Ok(());
    }
    for line in report.to_string().lines().filter(|line| !line.is_empty()) {
        tracing::error!("{line}");
    }
    let (of, why) = first_failure(&report);
    Err(PrepareError::Migrate { of, why })
}

fn first_failure(report: &MigrateReport) -> (String, String) {
    let schemas = report.shared.iter().chain(&report.tenants);
    let failed = schemas.filter_map(|schema| {
        let of = schema.tenant_id.as_deref().unwrap_or("the shared schema");
        Some((of.to_owned(), schema.error()?.to_string()))
    });
    let not_run =
        || ("of all".to_owned(), "the files break rules, or the run was stopped".to_owned());
    { failed }.next().unwrap_or_else(not_run)
}
