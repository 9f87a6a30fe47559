//! A catalog in a table is read as it stands, and its changes are heard of at once.

use std::time::{Duration, SystemTime};

use serde_json::json;
use tenantry::{ErrorKind, TableCatalog, TenantManager, TenantState, provision::CreateOptions};
use tokio::task::JoinSet;

use crate::support::{
    TestResult, World, eventually, eventually_within, kill, name_of, run, sessions,
};

fn manager(world: &World) -> TenantManager {
    let builder = world.builder().catalog(TableCatalog::new()).max_connections(4);
    builder.build().expect("the configuration is sound")
}

async fn world(tenants: &[&str]) -> World {
    let world = World::with_tenants(tenants).await;
    let manager = manager(&world);
    TableCatalog::new().create_table(manager.shared()).await.expect("it can be created");
    for tenant in tenants {
        let insert = format!("insert into tenants (id) values ('{tenant}')");
        run(&mut world.admin().await, &insert).await;
    }
    manager.close().await;
    world
}

#[tokio::test]
async fn the_table_may_be_created_again_and_by_many_at_once() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let managers = [manager(&world), manager(&world), manager(&world)];
    let mut tasks = JoinSet::new();
    for turn in 0..12 {
        let manager = managers[turn % 3].clone();
        tasks.spawn(async move { TableCatalog::new().create_table(manager.shared()).await });
    }
    while let Some(created) = tasks.join_next().await {
        created??;
    }
    run(&mut world.admin().await, "insert into tenants (id) values ('acme')").await;
    TableCatalog::new().create_table(managers[0].shared()).await?;
    assert_eq!(name_of(&managers[1].tenant("acme").await?).await?, "acme");
    for manager in managers {
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_on_record_is_handed_on() -> TestResult {
    let world = world(&["acme", "elsewhere"]).await;
    run(
        &mut world.admin().await,
        r#"insert into tenants (id, container, state, attributes) values
           ('globex', 'tenant_elsewhere', 'active', '{"plan": "gold"}'),
           ('gone', null, 'suspended', '{}')"#,
    )
    .await;
    run(&mut world.admin().await, "delete from tenants where id = 'elsewhere'").await;
    let manager = manager(&world);
    let globex = manager.tenant("globex").await?;
    assert_eq!(globex.tenant().attributes(), &json!({"plan": "gold"}));
    assert_eq!(globex.tenant().placement().container().as_str(), "tenant_elsewhere");
    assert_eq!(name_of(&globex).await?, "elsewhere");
    let created = globex.tenant().created_at().ok_or("it is on record")?;
    let age = SystemTime::now().duration_since(created).unwrap_or_default();
    assert!(age < Duration::from_secs(60), "{age:?}");
    assert_eq!(manager.tenant("gone").await.expect_err("suspended").kind(), ErrorKind::Suspended);
    assert_eq!(manager.tenant("nobody").await.expect_err("no").kind(), ErrorKind::UnknownTenant);
    let listed: Vec<_> =
        manager.tenants().await?.into_iter().map(|t| (t.id.to_string(), t.state)).collect();
    let expected = [
        ("acme", TenantState::Active),
        ("globex", TenantState::Active),
        ("gone", TenantState::Suspended),
    ];
    assert_eq!(listed, expected.map(|(id, state)| (id.to_owned(), state)));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_change_reaches_all_managers_soon() -> TestResult {
    let world = world(&["acme"]).await;
    let mut admin = world.admin().await;
    let managers = [manager(&world), manager(&world)];
    let kind = async |manager: &TenantManager| {
        manager.tenant("acme").await.err().map(|error| error.kind())
    };
    for manager in &managers {
        assert_eq!(kind(manager).await, None);
    }
    for (change, expected) in [
        ("update tenants set state = 'suspended'", Some(ErrorKind::Suspended)),
        ("update tenants set state = 'active'", None),
        ("delete from tenants", Some(ErrorKind::UnknownTenant)),
        ("insert into tenants (id) values ('acme')", None),
        ("update tenants set id = 'other'", Some(ErrorKind::UnknownTenant)),
        ("update tenants set id = 'acme'", None),
        ("truncate tenants", Some(ErrorKind::UnknownTenant)),
    ] {
        run(&mut admin, change).await;
        for manager in &managers {
            let patience = Duration::from_secs(3);
            eventually_within(patience, change, async || kind(manager).await == expected).await;
        }
    }
    for manager in managers {
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn changes_are_heard_of_again_after_the_listening_connection_was_lost() -> TestResult {
    let world = world(&["acme"]).await;
    let mut admin = world.admin().await;
    let manager = manager(&world);
    manager.tenant("acme").await?;
    for state in ["suspended", "active", "suspended"] {
        let mut listening: Option<i32> = None;
        eventually("somebody listens", async || {
            listening = sqlx::query_scalar(
                "select pid from pg_stat_activity \
                 where datname = current_database() and query ilike 'listen%'",
            )
            .fetch_optional(&mut admin)
            .await
            .expect("the server is running");
            listening.is_some()
        })
        .await;
        kill(&mut admin, listening.ok_or("somebody listens")?).await;
        run(&mut admin, &format!("update tenants set state = '{state}'")).await;
        eventually(state, async || manager.tenant("acme").await.is_ok() == (state == "active"))
            .await;
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_container_can_go_from_one_tenant_to_another() -> TestResult {
    let world = world(&["one", "two"]).await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "update tenants set container = 'tenant_' || id; update tenants set id = 'a' where id = 'one'",
    )
    .await;
    let manager = manager(&world);
    assert_eq!(name_of(&manager.tenant("a").await?).await?, "one");
    // Rows like these, were they in the table, would share a schema.
    run(
        &mut admin,
        "drop index tenants_coalesce_coalesce1_container_idx; \
         insert into tenants (id, container) values ('b', 'tenant_one')",
    )
    .await;
    let error = manager.tenant("b").await.expect_err("the container is a's");
    assert_eq!(error.kind(), ErrorKind::Placement);
    // Announcements are off from here on: what counts is that nothing stale is believed.
    run(
        &mut admin,
        "alter table tenants disable trigger tenantry_announce; \
         update tenants set container = 'tenant_none' where id = 'two'; \
         update tenants set container = 'tenant_two' where id = 'a'",
    )
    .await;
    assert_eq!(name_of(&manager.tenant("b").await?).await?, "one");
    assert_eq!(name_of(&manager.tenant("a").await?).await?, "two", "a was remembered with b's");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_moves_is_served_from_its_new_container() -> TestResult {
    let world = world(&["one", "two"]).await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "delete from tenants; insert into tenants (id, container) values ('a', 'tenant_one')",
    )
    .await;
    let manager = manager(&world);
    let id = "a".parse()?;
    for container in ["one", "two", "one", "two"] {
        run(&mut admin, &format!("update tenants set container = 'tenant_{container}'")).await;
        manager.invalidate(&id).await;
        assert_eq!(name_of(&manager.tenant("a").await?).await?, container);
        let pools: Vec<_> = manager.snapshot().tenants.into_iter().map(|t| t.tenant).collect();
        assert_eq!(pools, std::slice::from_ref(&id), "the tenant pool was lost from sight");
    }
    assert!(manager.evict(&id));
    assert!(manager.snapshot().tenants.is_empty());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_catalog_that_cannot_be_read_says_so() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = manager(&world);
    let error = manager.tenant("acme").await.expect_err("there is no table");
    assert_eq!(error.kind(), ErrorKind::Catalog);
    run(
        &mut world.admin().await,
        "create table tenants (id text, container text, state text, created_at timestamptz, \
         attributes jsonb); insert into tenants values ('acme', null, 'odd', null, null), \
         ('globex', '', 'active', null, null), ('a b', null, 'active', null, null)",
    )
    .await;
    for id in ["acme", "globex"] {
        assert_eq!(manager.tenant(id).await.expect_err(id).kind(), ErrorKind::Catalog);
    }
    assert_eq!(manager.tenants().await.expect_err("odd rows").kind(), ErrorKind::Catalog);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn listening_needs_a_connection_of_the_budget() -> TestResult {
    let world = world(&["acme"]).await;
    let builder = || world.builder().catalog(TableCatalog::new());
    let error = builder().max_connections(1).build().expect_err("none is left for tenants");
    assert!(error.to_string().contains("max_connections"), "{error}");
    let manager = builder().max_connections(2).build()?;
    let mut admin = world.admin().await;
    for _ in 0..5 {
        assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
        assert!(sessions(&mut admin).await <= 2);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_table_that_is_missing_is_named_with_what_makes_it() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().catalog(TableCatalog::new().table("customers")?).build()?;
    let asked = manager.tenant("acme").await.expect_err("there is no table");
    let created = manager.provisioner().create("acme", CreateOptions::default()).await;
    let listed = manager.tenants().await.expect_err("there is no table");
    for error in [asked, created.expect_err("there is no table"), listed] {
        let told = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Catalog, "{error:?}");
        assert!(told.contains("public.customers") && told.contains("create_table"), "{told}");
    }
    Ok(())
}
