//! What has to be there before the first request: the schemas of the tenants, their tables, and some rows.

use tenantry::{TenantManager, migrate::Migrations, seed::Seed};

/// The tenants of this example.
pub(crate) const TENANTS: [&str; 2] = ["acme", "globex"];

/// Brings what is there up to date, and creates what is missing. Any number of instances may do so at once.
pub(crate) async fn prepare(manager: &TenantManager) -> anyhow::Result<()> {
    let tenants = Migrations::embedded(&sqlx::migrate!("../axum-crud/migrations/tenants"))?;
    let shared = Migrations::embedded(&sqlx::migrate!("../axum-crud/migrations/shared"))?;
    let migrator = manager.migrator().tenants(tenants.clone()).shared(shared);
    let provisioner = manager.provisioner().tenants(tenants).seed(first_users());
    example_support::prepare(&migrator, &provisioner, TENANTS).await?;
    Ok(())
}

/// The first users of every tenant. The statement names no schema: the tenant's own is the only one that it
/// finds.
fn first_users() -> Seed {
    Seed::new("first users", |tx| {
        Box::pin(async move {
            let tenant = tx.tenant().map(ToString::to_string).unwrap_or_default();
            for name in ["Ada", "Grace"] {
                sqlx::query("insert into users (email, name) values ($1, $2)")
                    .bind(format!("{}@{tenant}.example", name.to_lowercase()))
                    .bind(name)
                    .execute(&mut **tx)
                    .await?;
            }
            Ok(())
        })
    })
}
