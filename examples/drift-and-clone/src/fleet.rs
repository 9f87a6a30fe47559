//! A fleet that is migrated, tampered with, inspected, and cloned from.

use example_support::{database, say};
use tenantry::{
    Isolation, SchemaDiscovery, TenantDb, TenantManager, anonymize::Anonymize, clone::CloneOptions,
    drift::Reference, migrate::Migrations, provision::CreateOptions,
};

const TENANTS: usize = 50;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

#[expect(clippy::disallowed_methods, reason = "the text is what the library has worked out")]
pub(crate) async fn show() -> anyhow::Result<()> {
    let database = database().await?;
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

    fill(&shop).await?;
    say("\nA copy of it for a test system, without personal data:");
    let rules = Anonymize::from_toml(include_str!("../masks.toml"))?;
    let options = CloneOptions::default().anonymize(rules);
    say(provisioner.clone_tenant("shop-17", "shop-17-test", options).await?);
    say("\nOne of its customers, and what they wrote:");
    let copy = manager.tenant("shop-17-test").await?;
    let query = "select concat_ws(E'\\n', name, email, phone, body) from customers c \
                 join messages m on m.customer_id = c.id where c.id = 7";
    say(sqlx::query_scalar::<_, String>(query).fetch_one(&copy).await?);

    manager.close().await;
    database.close().await?;
    Ok(())
}

/// People buy and write.
async fn fill(shop: &TenantDb) -> anyhow::Result<()> {
    for sql in [
        "insert into customers (email, name, phone) \
         select 'ann.' || i || '@mail.example', 'Ann Brook-' || i, '+44 20 7946 ' || 1000 + i \
         from generate_series(1, 500) i",
        "insert into orders (customer_id, total) select id, id * 3 from customers",
        "insert into messages (customer_id, body) select id, jsonb_build_object( \
         'from', email, 'text', 'Please call me, ' || name) from customers",
    ] {
        sqlx::query(sql).execute(shop).await?;
    }
    Ok(())
}
