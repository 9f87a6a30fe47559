//! What has to be there before the first request: the schemas of the tenants, their tables, and some rows.

use tenantry::{TenantManager, migrate::Migrations, seed::Seed};

/// The tenants of this example, each with its members. Grace is a member of both.
const TENANTS: [(&str, &[&str]); 2] = [("acme", &["ada", "grace"]), ("globex", &["grace", "bob"])];

/// Brings what is there up to date, and creates what is missing. Any number of instances may do so at once.
pub(crate) async fn prepare(manager: &TenantManager) -> anyhow::Result<()> {
    let tenants = Migrations::embedded(&sqlx::migrate!("migrations/tenants"))?;
    let migrator = manager.migrator().tenants(tenants.clone());
    let provisioner = manager.provisioner().tenants(tenants).seed(first_rows());
    let names = TENANTS.map(|(name, _)| name);
    example_support::prepare(&migrator, &provisioner, names).await?;
    Ok(())
}

/// The first note and the members of a tenant. No statement names a schema: the tenant's own is the only one
/// that it finds.
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
