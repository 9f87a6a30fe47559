//! The tables, and a tenant of each plan.

use serde_json::json;
use sqlx::{Connection, PgConnection, migrate::Migrator, raw_sql};
use tenantry::{
    ErrorKind, TableCatalog, TenantManager,
    migrate::{MigrateOptions, Migrations},
    provision::CreateOptions,
};

use crate::plans::ROLE;

/// The migrations of every tenant, whatever its plan.
static FILES: Migrator = sqlx::migrate!();

/// The tenants, with their plans.
const TENANTS: [(&str, &str); 4] =
    [("row", "free"), ("schema", "pro"), ("database", "business"), ("large", "enterprise")];

/// Creates what is missing, and migrates the rest; every start does so.
pub(crate) async fn create_tenants(manager: &TenantManager, urls: [&str; 2]) -> anyhow::Result<()> {
    for url in urls {
        create_role(url).await?;
    }
    TableCatalog::new().create_table(manager.shared()).await?;
    let files = Migrations::embedded(&FILES)?;
    let migrator = manager.migrator().tenants(files.clone());
    drop(migrator.migrate_all(MigrateOptions::default()).await?.into_result()?);
    let provisioner = manager.provisioner().tenants(files);
    for (tenant, plan) in TENANTS {
        let options = CreateOptions::default().attributes(json!({ "plan": plan }));
        match provisioner.create(tenant, options).await {
            // It exists from an earlier start.
            Err(error) if error.kind() == ErrorKind::TenantExists => {}
            created => tracing::info!(tenant, took = ?created?.duration, "created"),
        }
    }
    Ok(())
}

/// Creates the role that the migrations grant privileges to.
async fn create_role(url: &str) -> anyhow::Result<()> {
    let mut admin = PgConnection::connect(url).await?;
    let exists = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)");
    let exists: bool = exists.bind(ROLE).fetch_one(&mut admin).await?;
    if !exists {
        raw_sql("create role notes_app nologin").execute(&mut admin).await?;
    }
    admin.close().await?;
    Ok(())
}
