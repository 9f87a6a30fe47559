//! A tenant is where its tier was when it was created, and has the limits of the tier that it has now.

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tenantry::{
    ErrorKind, FixedCatalog, Isolation, IsolationKind, KeyType, ManagerBuilder, Rows,
    SchemaDiscovery, TableCatalog, TenantId, TenantLimits, TenantManager, TenantRecord, Tier,
    provision::CreateOptions,
};

use crate::support::{
    TestResult, World, connect, eventually, name_of, observe, private_server, run,
};

const KINDS: [&str; 3] = ["row", "schema", "database"];

/// Rows for all, except schemas for those who pay.
fn by_plan(record: &TenantRecord) -> Tier {
    match record.attributes["plan"].as_str() {
        Some("pro") => Tier::new().isolation(IsolationKind::Schema),
        Some("mars") => Tier::new().isolation(IsolationKind::Schema).server("mars"),
        _ => Tier::new()
            .isolation(IsolationKind::Row)
            .limits(TenantLimits::new().requests_per_second(0.01)),
    }
}

/// A database with the table of tenants and one for their rows.
async fn world() -> World {
    let world = World::new().await;
    let manager = builder(&world).build().expect("the configuration is sound");
    TableCatalog::new().create_table(manager.shared()).await.expect("it can be created");
    manager.close().await;
    let key = "nullif(current_setting('tenantry.tenant', true), '')";
    let notes = format!(
        "create table notes (tenant_id text not null default {key}, text text not null); \
         alter table notes enable row level security; alter table notes force row level security; \
         create policy tenantry_all on notes as permissive for all using (true) with check (true); \
         create policy tenantry_tenant on notes as restrictive for all \
           using (tenant_id = (select {key})) with check (tenant_id = {key})"
    );
    run(&mut world.admin().await, &notes).await;
    world
}

fn builder(world: &World) -> ManagerBuilder {
    world
        .builder()
        .isolation(Isolation::schema("tenant_{id}"))
        .or_isolation(Isolation::rows(Rows::new().key(KeyType::Text)))
        .catalog(TableCatalog::new())
}

fn plan(plan: &str) -> CreateOptions {
    CreateOptions::default().attributes(json!({ "plan": plan }))
}

async fn isolation_of(manager: &TenantManager, tenant: &str) -> IsolationKind {
    let db = manager.tenant(tenant).await.expect("it is served");
    db.tenant().placement().isolation()
}

async fn set_attributes(world: &World, tenant: &str, attributes: &Value) {
    let update = format!("update tenants set attributes = '{attributes}' where id = '{tenant}'");
    run(&mut world.admin().await, &update).await;
}

#[tokio::test]
async fn a_new_tenant_is_placed_by_its_tier_and_stays_there() -> TestResult {
    let world = world().await;
    let manager = builder(&world).tier(by_plan).build()?;
    let provisioner = manager.provisioner();
    provisioner.create("small", plan("free")).await?;
    provisioner.create("large", plan("pro")).await?;
    let explicit = plan("free").isolation(IsolationKind::Schema);
    provisioner.create("explicit", explicit).await?;
    for (tenant, kind) in [
        ("small", IsolationKind::Row),
        ("large", IsolationKind::Schema),
        ("explicit", IsolationKind::Schema),
    ] {
        assert_eq!(isolation_of(&manager, tenant).await, kind, "{tenant}");
    }
    let mut admin = world.admin().await;
    let recorded = observe(
        &mut admin,
        "select string_agg(id || '=' || isolation, ' ' order by id) from tenants",
    );
    assert_eq!(recorded.await, "Some(\"explicit=schema large=schema small=row\")");

    // Another plan is another tier: its limits apply, and its place does not.
    let small = manager.tenant("small").await?;
    sqlx::query("insert into notes (text) values ('mine')").execute(&small).await?;
    assert!((0..2).any(|_| small.check_rate().is_err()), "the rate of the tier");
    set_attributes(&world, "small", &json!({ "plan": "pro" })).await;
    eventually("the manager knows the plan", async || {
        let db = manager.tenant("small").await.expect("it is served");
        db.tenant().attributes()["plan"] == "pro"
    })
    .await;
    assert_eq!(isolation_of(&manager, "small").await, IsolationKind::Row);
    assert!((0..9).all(|_| small.check_rate().is_ok()), "no rate any more");
    let notes: Vec<String> =
        sqlx::query_scalar("select tenant_id from notes").fetch_all(&small).await?;
    assert_eq!(notes, ["small"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn tiers_that_are_introduced_later_move_nobody() -> TestResult {
    let world = world().await;
    let before = builder(&world).build()?;
    before.provisioner().create("first", plan("free")).await?;
    before.close().await;
    let manager = builder(&world).tier(by_plan).build()?;
    assert_eq!(isolation_of(&manager, "first").await, IsolationKind::Schema);
    assert_eq!(manager.tenants().await?[0].isolation, None, "the record says what it said");
    let again = manager.provisioner().create("first", plan("free")).await;
    assert_eq!(again.expect_err("it exists").kind(), ErrorKind::TenantExists);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_catalog_without_placements_leaves_them_to_the_tier() -> TestResult {
    let eu = private_server(&["acme"]).await;
    let world = World::with_tenants(&["globex", "schema"]).await;
    let record = |id: &str| TenantRecord::new(TenantId::parse(id).expect("the id is valid"));
    let builder = |records: Vec<TenantRecord>| {
        let builder = world.builder().catalog(FixedCatalog::new(records));
        builder.server("eu-1", eu.url()).tier(|record| match record.id.as_str() {
            "acme" | "globex" => Tier::new().server("eu-1"),
            "lost" => Tier::new().server("mars"),
            _ => Tier::new(),
        })
    };
    let manager =
        builder(vec![record("acme"), record("globex").server("main"), record("lost")]).build()?;
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    assert_eq!(manager.tenant("acme").await?.tenant().placement().server(), "eu-1");
    assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex", "the record wins");
    let error = manager.tenant("lost").await.expect_err("there is no such server");
    assert_eq!(error.kind(), ErrorKind::Placement);
    assert!(error.to_string().contains("its tier names the server \"mars\""), "{error}");
    manager.close().await;
    Ok(())
}

/// A table of the application has columns for what it decides, and the tier decides the rest.
#[tokio::test]
async fn a_column_decides_instead_of_the_tier() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    run(
        &mut world.admin().await,
        "create table customers (slug text primary key, kind text); \
         insert into customers values ('acme', null), ('globex', 'schema')",
    )
    .await;
    let rows = |_: &TenantRecord| Tier::new().isolation(IsolationKind::Row);
    for (select, kind) in [
        ("select slug as id, kind as isolation from customers", IsolationKind::Schema),
        ("select slug as id from customers", IsolationKind::Row),
    ] {
        let manager = world.builder().catalog(TableCatalog::query(select)).tier(rows).build()?;
        assert_eq!(isolation_of(&manager, "acme").await, kind, "{select}");
        assert_eq!(isolation_of(&manager, "globex").await, kind, "{select}");
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn schemas_that_are_discovered_are_where_they_are() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let rows = |_: &TenantRecord| Tier::new().isolation(IsolationKind::Row).server("mars");
    let manager = world.builder().catalog(SchemaDiscovery::new()).tier(rows).build()?;
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    assert_eq!(manager.tenants().await?.len(), 1);
    manager.close().await;
    let rows = |_: &TenantRecord| Tier::new().isolation(IsolationKind::Row);
    let manager = world.builder().catalog(SchemaDiscovery::new()).tier(rows).build()?;
    let error = manager.provisioner().create("new", CreateOptions::default()).await;
    let error = error.expect_err("it would be nowhere");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("the catalog lists schemas, and it has none"), "{error}");
    manager.close().await;
    Ok(())
}

/// The rows of an application exist before the schema does, so the tier is chosen by their attributes.
#[tokio::test]
async fn the_application_has_the_attributes_of_a_new_tenant() -> TestResult {
    let world = world().await;
    let select = "select slug as id, jsonb_build_object('plan', plan) as attributes from customers";
    run(
        &mut world.admin().await,
        "create table customers (slug text primary key, plan text); \
         insert into customers values ('acme', 'pro'), ('moon', 'mars')",
    )
    .await;
    let manager = builder(&world).catalog(TableCatalog::query(select)).tier(by_plan).build()?;
    manager.provisioner().create("acme", CreateOptions::default()).await?;
    assert_eq!(isolation_of(&manager, "acme").await, IsolationKind::Schema);
    let mut admin = connect(world.database.url()).await;
    let schemas =
        observe(&mut admin, "select count(*) from pg_namespace where nspname = 'tenant_acme'");
    assert_eq!(schemas.await, "Some(\"1\")");
    let error = manager.provisioner().create("moon", CreateOptions::default()).await;
    assert_eq!(error.expect_err("there is no such server").kind(), ErrorKind::Placement);
    manager.close().await;
    Ok(())
}

/// A statement that counts those of its tenant that run.
macro_rules! counting {
    ($tenant:literal) => {
        concat!(
            "/* of ",
            $tenant,
            " */ select (select count(*) from pg_stat_activity where state = 'active' \
             and query like '/* of ",
            $tenant,
            " */%') from pg_sleep(0.1)"
        )
    };
}

/// How many statements of one tenant the server sees at a time.
async fn most_at_a_time(manager: &TenantManager, tenant: &str) -> i64 {
    let db = manager.tenant(tenant).await.expect("it is served");
    let counting = match tenant {
        "row" => counting!("row"),
        "schema" => counting!("schema"),
        _ => counting!("database"),
    };
    let running = (0..12).map(|_| sqlx::query_scalar(counting).fetch_one(&db));
    let seen: Vec<i64> = try_join_all(running).await.expect("the server is running");
    seen.into_iter().max().unwrap_or_default()
}

#[tokio::test]
async fn limits_hold_for_every_kind_of_isolation() -> TestResult {
    let server = private_server(&["schema"]).await;
    server.create_database("tenant_database").await?;
    let kind = |id: &str| match id {
        "row" => IsolationKind::Row,
        "database" => IsolationKind::Database,
        _ => IsolationKind::Schema,
    };
    let records = KINDS.map(|id| TenantRecord::new(id.parse().expect("an id")));
    for (cap, expected) in [(Some(2), 1..=2), (None, 3..=6)] {
        let manager = TenantManager::builder(server.url())
            .or_isolation(Isolation::rows(Rows::new()))
            .catalog(FixedCatalog::new(records.clone()))
            .tier(move |record| {
                let tier = Tier::new().isolation(kind(record.id.as_str()));
                tier.limits(TenantLimits::new().max_connections(cap))
            })
            .max_connections(9)
            .max_connections_per_tenant(6)
            .build()?;
        for tenant in KINDS {
            let most = most_at_a_time(&manager, tenant).await;
            assert!(expected.contains(&most), "{tenant}: {most}");
        }
        manager.close().await;
    }
    Ok(())
}
