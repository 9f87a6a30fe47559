//! Every session says which process it belongs to, and which tenant where that is asked for.

use sqlx::PgConnection;
use tenantry::{FixedCatalog, TableCatalog, TenantManager, TenantRecord};

use crate::support::{
    TestResult, World, at_rest, create_tenant, eventually, name_of, pool_options,
};

/// The names of all sessions in this database but the asker's.
async fn names(admin: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "select distinct application_name from pg_stat_activity \
         where datname = current_database() and pid <> pg_backend_pid() \
         and backend_type = 'client backend' order by 1",
    )
    .fetch_all(admin)
    .await
    .expect("the server is running")
}

#[tokio::test]
async fn sessions_are_named_after_the_instance_whatever_they_are_for() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let named = |url: &str, instance: Option<&str>| {
        let builder = TenantManager::builder(url).max_connections(3);
        instance.into_iter().fold(builder, |builder, name| builder.instance(name))
    };
    let url = world.database.url();
    let of_url = format!("{url}?application_name=wäb/1");
    for (builder, expected) in [
        (named(url, Some("worker-7")), "tenantry/worker-7".to_owned()),
        (named(&of_url, None), "tenantry/w_b_1".to_owned()),
        (named(&format!("{url}?application_name=tenantry/web"), None), "tenantry/web".to_owned()),
        (named(&of_url, Some("wins")), "tenantry/wins".to_owned()),
        (named(url, Some(&"x".repeat(70))), format!("tenantry/{}", "x".repeat(54))),
    ] {
        let manager = builder.build()?;
        name_of(&manager.tenant("acme").await?).await?;
        sqlx::query("select 1").execute(manager.shared()).await?;
        assert_eq!(names(&mut admin).await, [expected]);
        manager.close().await;
        eventually("all sessions have ended", async || names(&mut admin).await.is_empty()).await;
    }
    // By itself: the host and the process. Upkeep and the listener say so, too.
    let manager = named(url, None).catalog(TableCatalog::new()).build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    drop(manager.tenant("acme").await.expect_err("it is not listed"));
    eventually("somebody listens", async || names(&mut admin).await.len() == 1).await;
    let found = names(&mut admin).await;
    let end = format!(".{}", std::process::id());
    assert!(found[0].starts_with("tenantry/") && found[0].ends_with(&end), "{found:?}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn sessions_are_named_after_their_tenant_where_that_is_asked_for() -> TestResult {
    let long = "t".repeat(50);
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    create_tenant(&mut admin, &long).await;
    let mut acme = TenantRecord::new("acme".parse()?);
    acme.settings = [("application_name".to_owned(), "'; drop table users; --".to_owned())].into();
    let records = [acme, TenantRecord::new("globex".parse()?), TenantRecord::new(long.parse()?)];
    let manager = world
        .builder()
        .pool_options(pool_options(|options| {
            options.max_connections = 1;
            options.name_tenants = true;
        }))
        .instance("w'e\\b")
        .catalog(FixedCatalog::new(records))
        .build()?;
    let shown = "select application_name from pg_stat_activity where pid = pg_backend_pid()";
    for (tenant, expected) in [
        ("acme", "tenantry/w'e\\b/acme".to_owned()),
        ("globex", "tenantry/w'e\\b/globex".to_owned()),
        (long.as_str(), format!("tenantry/w'e\\b/{}", &long[..48])),
    ] {
        let db = manager.tenant(tenant).await?;
        let name: String = sqlx::query_scalar(shown).fetch_one(&db).await?;
        assert_eq!(name, expected);
        // What somebody else has set goes with the reset.
        let mut lease = db.acquire().await?;
        sqlx::query("set application_name to 'other'").execute(&mut *lease).await?;
        drop(lease);
        at_rest(&manager).await;
        let name: String = sqlx::query_scalar(shown).fetch_one(&db).await?;
        assert_eq!(name, expected);
    }
    let name: String = sqlx::query_scalar(shown).fetch_one(manager.shared()).await?;
    assert_eq!(name, "tenantry/w'e\\b", "the shared schema is no tenant's");
    manager.close().await;
    Ok(())
}
