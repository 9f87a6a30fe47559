//! Dropping a tenant: all of it, nothing else, and within the server's lock table.

use std::time::Duration;

use sqlx::PgConnection;
use tenantry::{
    ErrorKind, Ident, SchemaDiscovery, TenantManager,
    provision::{CreateOptions, DropOptions},
};
use tenantry_devdb::DevServer;
use tokio::task::JoinSet;

use super::with_table;
use crate::{
    migrate::Files,
    support::{TestResult, World, connect, free_names, observe, run},
};

async fn exists(admin: &mut PgConnection, schema: &str) -> bool {
    let sql = format!("select (to_regnamespace('{schema}') is not null)::text");
    observe(admin, &sql).await == "Some(\"true\")"
}

#[tokio::test]
async fn a_dropped_tenant_is_gone_and_the_others_are_not() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    for id in ["acme", "globex"] {
        provisioner.create(id, CreateOptions::default()).await?;
    }
    manager.tenant("acme").await?.ping().await?;
    let mut admin = world.admin().await;
    let wrong = provisioner.drop_tenant("acme", "globex", DropOptions::default()).await;
    let wrong = wrong.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Config);
    assert!(wrong.to_string().contains("nothing was dropped: pass the id"), "{wrong}");
    let dry = DropOptions::default().dry_run(true);
    let report = provisioner.drop_tenant("acme", "acme", dry).await?;
    assert_eq!(report.objects, ["table tenant_acme._sqlx_migrations", "table tenant_acme.notes"]);
    assert!(exists(&mut admin, "tenant_acme").await);
    manager.tenant("acme").await?;
    let report = provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    assert_eq!((report.dry_run, report.objects.len()), (false, 2), "{report}");
    assert!(!exists(&mut admin, "tenant_acme").await);
    assert!(exists(&mut admin, "tenant_globex").await);
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
    let again = provisioner.drop_tenant("acme", "acme", DropOptions::default()).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::UnknownTenant);
    let early = provisioner.create("acme", CreateOptions::default()).await.unwrap_err();
    assert_eq!((early.kind(), early.is_transient()), (ErrorKind::NameInUse, true));
    free_names(&mut admin).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    Ok(())
}

#[tokio::test]
async fn transactions_that_begin_later_do_not_keep_a_name() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_, provisioner) = with_table(&world, &files).await;
    let mut others = JoinSet::new();
    for _ in 0..16 {
        let mut other = world.admin().await;
        others.spawn(async move {
            loop {
                run(&mut other, "select 1").await;
            }
        });
    }
    let mut admin = world.admin().await;
    for _ in 0..25 {
        provisioner.create("acme", CreateOptions::default()).await?;
        provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
        free_names(&mut admin).await;
    }
    Ok(())
}

#[tokio::test]
async fn what_depends_on_it_from_outside_is_named_and_stays() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    let mut admin = world.admin().await;
    run(&mut admin, "create view public.all_notes as select * from tenant_acme.notes").await;
    run(&mut admin, "create table public.refs (id int references tenant_acme.notes)").await;
    let error = provisioner.drop_tenant("acme", "acme", DropOptions::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("view public.all_notes"), "{text}");
    assert!(text.contains("refs_id_fkey on public.refs"), "{text}");
    manager.tenant("acme").await?;
    let cascade = DropOptions::default().cascade(true);
    let report = provisioner.drop_tenant("acme", "acme", cascade).await?;
    assert_eq!(report.outside.len(), 2);
    assert!(!exists(&mut admin, "tenant_acme").await);
    Ok(())
}

#[tokio::test]
async fn a_large_tenant_is_dropped_where_the_server_alone_would_run_out_of_locks() -> TestResult {
    let server = DevServer::builder()
        .setting("max_connections", "20")
        .setting("max_locks_per_transaction", "10")
        .start()
        .await?;
    let mut admin = connect(&server.url()).await;
    run(&mut admin, "create schema tenant_big").await;
    for table in 0..300 {
        let sql = format!(
            "create table tenant_big.t{table} (id serial primary key, a text, b text); \
             create index on tenant_big.t{table} (a); create index on tenant_big.t{table} (b); \
             create function tenant_big.f{table}(t{table} int) returns int language sql \
             as 'select 1'"
        );
        run(&mut admin, &sql).await;
    }
    run(
        &mut admin,
        "create type tenant_big.mood as enum ('glad'); create domain tenant_big.d as int; \
         create table tenant_big.parts (id int) partition by range (id); \
         create procedure tenant_big.p() language sql as 'select 1'; \
         create view tenant_big.v as select 1; create materialized view tenant_big.m as select 1; \
         create aggregate tenant_big.agg(int) (sfunc = int4pl, stype = int)",
    )
    .await;
    for part in 0..60 {
        let sql = format!(
            "create table tenant_big.part{part} partition of tenant_big.parts \
             for values from ({part}) to ({})",
            part + 1
        );
        run(&mut admin, &sql).await;
    }
    run(&mut admin, "create table tenant_big.base (id int primary key)").await;
    for table in 0..150 {
        let refer = format!(
            "alter table tenant_big.t{table} add foreign key (id) references tenant_big.base"
        );
        run(&mut admin, &refer).await;
    }
    let alone = observe(&mut admin, "drop schema tenant_big cascade").await;
    assert_eq!(alone, "error 53200", "the server must not manage it by itself");
    let manager =
        TenantManager::builder(server.url()).catalog(SchemaDiscovery::default()).build()?;
    let provisioner = manager.provisioner();
    let options = DropOptions::default().batch(25);
    let report = provisioner.drop_tenant("big", "big", options).await?;
    assert!(report.transactions > 10, "{report}");
    assert!(!exists(&mut admin, "tenant_big").await);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn nothing_of_anybody_else_goes_along() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    let mut admin = world.admin().await;
    for (setup, named, undo) in [
        ("create table public.k () inherits (tenant_acme.notes)", "public.k", "table public.k"),
        (
            "create type tenant_acme.kind as enum ('x'); create table public.k (v tenant_acme.kind)",
            "public.k.v",
            "table public.k",
        ),
        ("create table public.k (n tenant_acme.notes)", "public.k.n", "table public.k"),
        (
            "create sequence tenant_acme.s; \
             create table public.k (id int default nextval('tenant_acme.s'))",
            "public.k.id",
            "table public.k",
        ),
        (
            "create function tenant_acme.f() returns trigger language plpgsql as 'begin return new; end'; \
             create table public.k (); create trigger t before insert on public.k for each row \
             execute function tenant_acme.f()",
            "t on public.k",
            "table public.k",
        ),
        (
            "create function public.h() returns bigint begin atomic \
             select count(*) from tenant_acme.notes; end",
            "public.h()",
            "function public.h()",
        ),
        (
            "create table public.k (); create policy p on public.k using \
             (exists (select from tenant_acme.notes))",
            "p on public.k",
            "table public.k",
        ),
    ] {
        provisioner.create("acme", CreateOptions::default()).await?;
        run(&mut admin, setup).await;
        let refused = provisioner.drop_tenant("acme", "acme", DropOptions::default()).await;
        let error = refused.expect_err("something depends on it").to_string();
        assert!(error.contains(named), "{setup}: {error}");
        manager.tenant("acme").await?;
        run(&mut admin, &format!("drop {undo}")).await;
        provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
        free_names(&mut admin).await;
    }
    Ok(())
}

#[tokio::test]
async fn what_belongs_to_something_else_goes_with_that() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_, provisioner) = with_table(&world, &files).await;
    let mut admin = world.admin().await;
    provisioner.create("acme", CreateOptions::default()).await?;
    run(
        &mut admin,
        "create extension citext schema tenant_acme; \
         create type tenant_acme.times as range (subtype = time); \
         create table tenant_acme.t (id int generated always as identity, name tenant_acme.citext)",
    )
    .await;
    let options = DropOptions::default().batch(1);
    provisioner.drop_tenant("acme", "acme", options).await?;
    assert!(!exists(&mut admin, "tenant_acme").await);
    Ok(())
}

#[tokio::test]
async fn a_drop_that_cannot_go_on_leaves_nobody_half_a_tenant() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let manager = world.manager();
    let provisioner = manager.provisioner().tenants(files.read());
    let mut admin = world.admin().await;
    provisioner.create("acme", CreateOptions::default()).await?;
    run(&mut admin, "begin; lock table tenant_acme.notes").await;
    let options = DropOptions::default().batch(1).lock_timeout(Duration::from_millis(20));
    let error = provisioner.drop_tenant("acme", "acme", options).await.unwrap_err();
    assert!(error.to_string().contains("tenantry_spare_"), "{error}");
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
    let report = manager.migrator().tenants(files.read()).migrate_all(Default::default()).await?;
    assert_eq!(report.total, 0, "{report}");
    run(&mut admin, "rollback").await;
    assert_eq!(provisioner.fill_spares(0).await?.removed, 1);
    Ok(())
}

#[tokio::test]
async fn a_schema_of_two_tenants_is_not_dropped() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_, provisioner) = with_table(&world, &files).await;
    let mut admin = world.admin().await;
    provisioner.create("acme", CreateOptions::default()).await?;
    run(&mut admin, "insert into tenants (id, container) values ('other', 'tenant_acme')").await;
    let error =
        provisioner.drop_tenant("other", "other", DropOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Placement, "{error}");
    assert!(exists(&mut admin, "tenant_acme").await);
    Ok(())
}

#[tokio::test]
async fn no_name_of_a_schema_gets_out_of_its_quotes() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_, provisioner) = with_table(&world, &files).await;
    for name in ["x$drop$y", "we\"ird", "it's", "back\\slash", "a%sb", "x.y"] {
        let container = CreateOptions::default().container(Ident::parse(name)?);
        provisioner.create("acme", container).await?;
        let options = DropOptions::default().batch(1);
        provisioner.drop_tenant("acme", "acme", options).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_function_elsewhere_that_names_the_schema_is_told() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_, provisioner) = with_table(&world, &files).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create function public.f() returns bigint language sql \
           as 'select count(*) from tenant_acme.notes'; \
         create function public.g() returns int language sql set search_path = public, tenant_acme \
           as 'select 1'; \
         create function public.h() returns text language sql as 'select ''not tenant_acme''::text'",
    )
    .await;
    let dry = DropOptions::default().dry_run(true);
    let named = provisioner.drop_tenant("acme", "acme", dry).await?.named;
    let named: Vec<_> = named.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["function public.f() (body)", "function public.g() (setting)"]);
    let error = provisioner.drop_tenant("acme", "acme", DropOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("public.f()"), "{error}");
    assert!(exists(&mut admin, "tenant_acme").await);
    let cascade = DropOptions::default().cascade(true);
    assert_eq!(provisioner.drop_tenant("acme", "acme", cascade).await?.named.len(), 2);
    Ok(())
}
