//! Setup before the first request: the tenants' schemas, their tables, and some rows.

use tenantry::{TenantManager, migrate::Migrations, seed::Seed};

/// The tenants of this example, each with its members. Grace is a member of both.
const TENANTS: [(&str, &[&str]); 2] = [("acme", &["ada", "grace"]), ("globex", &["grace", "bob"])];

/// Migrates existing tenants, and creates missing ones. Any number of instances can do so
/// concurrently.
pub(crate) async fn prepare(manager: &TenantManager) -> anyhow::Result<()> {
    let tenants = Migrations::embedded(&sqlx::migrate!("migrations/tenants"))?;
    let migrator = manager.migrator().tenants(tenants.clone());
    let provisioner = manager.provisioner().tenants(tenants).seed(first_rows());
    let names = TENANTS.map(|(name, _)| name);
    example_support::prepare(&migrator, &provisioner, names).await?;
    Ok(())
}

/// The first note and the members of a tenant. No statement names a schema: each finds only the
/// tenant's own.
fn first_rows() -> Seed {
    Seed::new("first rows", |tx| {
        Box::pin(async move {
            let tenant = tx.tenant().map(ToString::to_string).unwrap_or_default();
            let members =
                TENANTS.iter().find(|(name, _)| *name == tenant).map(|(_, members)| *members);
            sqlx::query("insert into notes values ($1)")
                .bind(format!("a note of {tenant}"))
                .execute(&mut **tx)
                .await?;
            sqlx::query("insert into members select unnest($1)")
                .bind(members.unwrap_or_default())
                .execute(&mut **tx)
                .await?;
            Ok(())
        })
    })
}
