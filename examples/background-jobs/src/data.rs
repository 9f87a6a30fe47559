//! What has to be there before the first job: the schemas of the tenants, their tables, and some rows.

use std::time::Duration;

use tenantry::{
    Error, ErrorKind, TableCatalog, TenantManager,
    migrate::Migrations,
    provision::{CreateOptions, Provisioner},
    seed::Seed,
};

/// The tenants of this example, each with so many orders.
pub(crate) const TENANTS: [(&str, i64); 4] =
    [("acme", 3), ("globex", 5), ("initech", 2), ("hooli", 1)];

/// Brings what is there up to date, and creates what is missing. Returns what creates and removes tenants.
pub(crate) async fn prepare(manager: &TenantManager) -> anyhow::Result<Provisioner> {
    TableCatalog::default().create_table(manager.shared()).await?;
    let tenants = Migrations::embedded(&sqlx::migrate!("migrations/tenants"))?;
    let shared = Migrations::embedded(&sqlx::migrate!("migrations/shared"))?;
    let migrator = manager.migrator().tenants(tenants.clone()).shared(shared);
    example_support::migrate(&migrator).await?;

    let provisioner = manager.provisioner().tenants(tenants).seed(first_orders());
    for (tenant, _) in TENANTS {
        create(&provisioner, tenant).await?;
        // All tenants are active again when the program is run once more.
        provisioner.resume(tenant).await?;
    }
    Ok(provisioner)
}

/// The orders of a new tenant.
fn first_orders() -> Seed {
    Seed::new("first orders", |tx| {
        Box::pin(async move {
            let tenant = tx.tenant().map(ToString::to_string).unwrap_or_default();
            let orders =
                TENANTS.iter().find(|(name, _)| *name == tenant).map(|(_, orders)| *orders);
            sqlx::query("insert into orders select n, n * 10 from generate_series(1, $1) n")
                .bind(orders)
                .execute(&mut **tx)
                .await?;
            Ok(())
        })
    })
}

/// Creates a tenant unless it is there. The name of one that was dropped a moment ago is not given away at
/// once: somebody may still be at work who means that one. It is waited for.
async fn create(provisioner: &Provisioner, tenant: &str) -> Result<(), Error> {
    loop {
        match provisioner.create(tenant, CreateOptions::default()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::TenantExists => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NameInUse => {
                tracing::warn!(tenant, "its name is not free yet");
                tokio::time::sleep(error.retry_after().unwrap_or(Duration::from_secs(1))).await;
            }
            Err(error) => return Err(error),
        }
    }
}
