//! Only a tenant that exists, by exactly its name, gets a handle.

use std::sync::atomic::Ordering;

use tenantry::{ErrorKind, FixedCatalog, Ident, Isolation, TenantId, TenantRecord, TenantState};
use tokio::task::JoinSet;

use crate::catalog_cache::counting;
use crate::support::{TestResult, World, code_of, name_of, observe, run, sessions};

#[tokio::test]
async fn a_malformed_id_is_refused_before_anything_is_asked() -> TestResult {
    let world = World::new().await;
    let (catalog, asked) = counting(|id| async { Ok(Some(TenantRecord::new(id))) });
    let manager = world.builder().catalog(catalog).build()?;
    let long = "x".repeat(64);
    for id in [
        "x,tenant_b",
        "a\"b",
        "a;drop",
        "a b",
        "a'b",
        "a\\b",
        "a/b",
        "..",
        "$user",
        "äö",
        "",
        "a\0",
        "public",
        "PUBLIC",
        "pg_temp",
        "pg_catalog",
        "information_schema",
        "-a",
        &long,
    ] {
        let error = manager.tenant(id).await.expect_err(id);
        assert_eq!(error.kind(), ErrorKind::InvalidTenantId, "{id:?}");
        assert!(!error.is_transient());
    }
    assert_eq!((asked.load(Ordering::Relaxed), manager.snapshot().total), (0, 0));
    assert_eq!(sessions(&mut world.admin().await).await, 0);
    Ok(())
}

#[tokio::test]
async fn ids_that_differ_in_case_are_two_tenants() -> TestResult {
    let world = World::with_tenants(&["acme", "ACME"]).await;
    let manager = world.one_session();
    for id in ["acme", "ACME", "acme"] {
        assert_eq!(name_of(&manager.tenant(id).await?).await?, id);
    }
    assert_eq!(
        manager.tenant("Acme").await.expect_err("no schema").kind(),
        ErrorKind::UnknownTenant
    );
    let mut ids: Vec<_> = manager.tenants().await?.into_iter().map(|t| t.id.to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["ACME", "acme"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_without_a_schema_gets_no_handle_and_no_other_schema() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    run(&mut world.admin().await, "create table public.users as select 1 id, 'public' as name")
        .await;
    let manager = world.manager();
    let error = manager.tenant("nobody").await.expect_err("there is no schema");
    assert_eq!(error.kind(), ErrorKind::UnknownTenant);
    assert_eq!(error.tenant().map(TenantId::as_str), Some("nobody"));
    manager.close().await;

    // A catalog that lies about it is no way around.
    let manager = world
        .builder()
        .catalog(FixedCatalog::new([TenantRecord::new("nobody".parse()?)]))
        .build()?;
    let error = name_of(&manager.tenant("nobody").await?).await.expect_err("no such table");
    assert_eq!(code_of(&error), "error 42P01");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_missing_table_is_missing_whoever_else_has_one() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    run(
        &mut world.admin().await,
        "create table public.extra as select 'public'; create table tenant_globex.extra as select 'globex'",
    )
    .await;
    for see_shared in [false, true] {
        let manager = world.builder().tenants_see_shared(see_shared).max_connections(1).build()?;
        let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
        for _ in 0..2 {
            let extra = "select * from extra";
            assert_eq!(observe(&globex, extra).await, r#"Some("globex")"#);
            let seen = if see_shared { r#"Some("public")"# } else { "error 42P01" };
            assert_eq!(observe(&acme, extra).await, seen);
            assert_eq!(observe(&acme, "select * from public.extra").await, r#"Some("public")"#);
        }
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_suspended_tenant_gets_no_handle() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let record = TenantRecord::new("acme".parse()?).state(TenantState::Suspended);
    let manager = world.builder().catalog(FixedCatalog::new([record])).build()?;
    let error = manager.tenant("acme").await.expect_err("it is suspended");
    assert_eq!(error.kind(), ErrorKind::Suspended);
    assert_eq!(manager.tenants().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn two_tenants_never_have_one_container() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let ids = || ["Acme", "acme"].map(|id| TenantRecord::new(id.parse().expect("an id")));
    let folding = || Isolation::schema_with(|id| format!("tenant_{}", id.as_str().to_lowercase()));
    let error = world.builder().isolation(folding()).catalog(FixedCatalog::new(ids())).build();
    assert!(error.expect_err("one container").to_string().contains("container"));
    let twice = ids().map(|record| record.container(Ident::parse("tenant_acme").expect("a name")));
    assert!(world.builder().catalog(FixedCatalog::new(twice)).build().is_err());

    let manager = world.builder().isolation(folding()).build()?;
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    let error = manager.tenant("Acme").await.expect_err("the container is taken");
    assert_eq!(error.kind(), ErrorKind::Placement);
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_tenants_never_have_one_container_though_they_ask_at_once() -> TestResult {
    let world = World::new().await;
    for _ in 0..200 {
        let (catalog, _) = counting(|id| async move {
            tokio::task::yield_now().await;
            Ok(Some(TenantRecord::new(id)))
        });
        let isolation = Isolation::schema_with(|_| "tenant_all");
        let manager = world.builder().isolation(isolation).catalog(catalog).build()?;
        let mut tasks = JoinSet::new();
        for id in ["a", "b", "c", "d"] {
            let manager = manager.clone();
            tasks.spawn(async move { manager.tenant(id).await.is_ok() });
        }
        let served = tasks.join_all().await.into_iter().filter(|ok| *ok).count();
        assert!(served <= 1, "{served} tenants were given one container");
    }
    Ok(())
}

#[tokio::test]
async fn a_container_of_everybody_is_nobodys() -> TestResult {
    let world = World::new().await;
    for (container, shared) in [("public", "other"), ("pg_catalog", "public"), ("plans", "plans")] {
        let record = TenantRecord::new("acme".parse()?).container(Ident::parse(container)?);
        let manager =
            world.builder().shared_schema(shared).catalog(FixedCatalog::new([record])).build()?;
        let error = manager.tenant("acme").await.expect_err(container);
        assert_eq!(error.kind(), ErrorKind::Placement, "{container}");
    }
    Ok(())
}

#[tokio::test]
async fn a_catalog_that_answers_for_another_tenant_is_not_believed() -> TestResult {
    let world = World::with_tenants(&["globex"]).await;
    let (catalog, _) = counting(|_| async { Ok(Some(TenantRecord::new("globex".parse()?))) });
    let manager = world.builder().catalog(catalog).build()?;
    assert_eq!(manager.tenant("acme").await.expect_err("a lie").kind(), ErrorKind::Catalog);
    Ok(())
}
