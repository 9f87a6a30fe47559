//! A fleet that is migrated, tampered with, and looked at.

use tenantry::{
    Isolation, SchemaDiscovery, TenantManager, drift::Reference, migrate::Migrations,
    provision::CreateOptions,
};
use tenantry_devdb::Database;

use crate::say;

const TENANTS: usize = 50;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

#[expect(clippy::disallowed_methods, reason = "the text is what the library has worked out")]
pub(crate) async fn show() -> anyhow::Result<()> {
    let database = Database::given_or_throwaway().await?;
    let manager = TenantManager::builder(database.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(SchemaDiscovery::default())
        .max_connections(4)
        .build()?;
    let migrations = Migrations::embedded(&MIGRATIONS)?;
    let provisioner = manager.provisioner().tenants(migrations.clone());
    for number in 1..=TENANTS {
        provisioner.create(format!("shop-{number:02}"), CreateOptions::default()).await?;
    }

    say("Fifty tenants, made by the same files:");
    say(manager.drift().run().await?);

    // Somebody was in a hurry.
    let shop = manager.tenant("shop-17").await?;
    sqlx::query("alter table orders alter column total type numeric(12,2)").execute(&shop).await?;
    sqlx::query("drop index orders_customer").execute(&shop).await?;

    say("\nOne of them was tampered with:");
    let drift = manager.drift().against(Reference::Migrations(migrations));
    say(drift.run().await?);

    let repair = drift.repair("shop-17").await?;
    say("\nWhat would repair it:\n");
    say(&repair);

    // Somebody has read it.
    sqlx::raw_sql(sqlx::AssertSqlSafe(repair.to_string())).execute(&shop).await?;
    say("Afterwards:");
    say(drift.run().await?);

    manager.close().await;
    database.close().await?;
    Ok(())
}
