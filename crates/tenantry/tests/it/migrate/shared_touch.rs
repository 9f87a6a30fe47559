//! Tenants that are migrated, created or seeded at once, with statements that touch something shared.

use futures_util::future::join_all;
use sqlx::PgConnection;
use tenantry::{
    TenantManager,
    migrate::{Lint, MigrateOptions, Migrations, Outcome},
    provision::{CreateOptions, HowMade},
    seed::{Seed, SeedOptions},
};

use super::files::{Files, create_schemas, ids, recorded};
use crate::support::{TestResult, World, eventually, run};

/// Statements that each of many tenants may run, and that collide when two do so at once.
const STATEMENTS: [&str; 10] = [
    "create extension if not exists pg_trgm schema public;",
    "create or replace function public.f() returns int language sql as 'select 1';",
    "grant select on public.plans to pg_monitor;",
    "grant usage on schema public to pg_monitor;",
    "create table if not exists public.x (id int primary key);",
    // Their siblings.
    "create or replace view public.v as select 1 as a;",
    "alter default privileges in schema public grant select on tables to pg_monitor;",
    "do $$ begin create type public.mood as enum ('ok'); exception when duplicate_object then null; end $$;",
    "create sequence if not exists public.s; comment on sequence public.s is 'shared';",
    "drop function if exists public.g(); create function public.g() returns int language sql as 'select 1';",
];

/// Files that all touch something shared, and make a table of the tenant's own.
fn touching() -> (Files, Migrations) {
    let names: Vec<_> = (1..=STATEMENTS.len()).map(|n| format!("{n:04}_touch.sql")).collect();
    let files: Vec<_> = names.iter().map(String::as_str).zip(STATEMENTS).collect();
    let files = Files::new(&files);
    files.write("0099_own.sql", "create table own (id int);");
    let migrations = files.read().lint(Lint::default().allow_schema("public"));
    (files, migrations)
}

async fn world() -> (World, PgConnection) {
    let world = World::new().await;
    let mut admin = world.admin().await;
    run(&mut admin, "create table public.plans (id int)").await;
    (world, admin)
}

#[tokio::test]
async fn no_tenant_fails_because_others_touch_the_same() -> TestResult {
    let ((world, mut admin), (_files, migrations)) = (world().await, touching());
    create_schemas(&mut admin, &ids(48)).await;
    let migrator = world.manager().migrator().tenants(migrations);
    let report = migrator.migrate_all(MigrateOptions::default().concurrency(8)).await?;
    assert_eq!((report.failed, report.migrated), (0, 48), "{report}");
    for tenant in &report.tenants {
        assert_eq!(tenant.files.len(), STATEMENTS.len() + 1, "each once: {tenant:?}");
    }
    Ok(())
}

/// Waits until somebody waits for the transaction of this connection.
async fn until_blocking(admin: &mut PgConnection) {
    eventually("a statement waits", async || {
        let waits = "select exists (select from pg_locks where not granted \
                     and pg_backend_pid() = any (pg_blocking_pids(pid)))";
        sqlx::query_scalar(waits).fetch_one(&mut *admin).await.expect("the server is running")
    })
    .await;
}

#[tokio::test]
async fn what_another_session_was_making_is_found_made() -> TestResult {
    let (world, mut admin) = world().await;
    create_schemas(&mut admin, &["acme"]).await;
    let files = Files::new(&[(
        "0001_x.sql",
        "create table if not exists public.x (id int); create table own (id int);",
    )]);
    let migrations = files.read().lint(Lint::default().allow_schema("public"));
    let migrator = world.manager().migrator().tenants(migrations);
    run(&mut admin, "begin; create table public.x (id int)").await;
    let migrating =
        tokio::spawn(async move { migrator.migrate_all(MigrateOptions::default()).await });
    until_blocking(&mut admin).await;
    run(&mut admin, "commit").await;
    let report = migrating.await??;
    assert_eq!((report.migrated, report.tenants[0].attempts), (1, 2), "{report}");
    assert_eq!(recorded(&mut admin, "acme").await, "Some(\"1\")");
    Ok(())
}

#[tokio::test]
async fn what_exists_in_any_case_is_not_tried_for_ever() -> TestResult {
    for (sql, attempts) in [
        ("create table own (id int); create table own (id int);", 1),
        ("create type pair as enum ('a', 'a');", 1),
        // It may have come of others, which an attempt alone tells.
        ("create table if not exists own (id int); create table own (id int);", 2),
    ] {
        let (world, mut admin) = world().await;
        create_schemas(&mut admin, &ids(6)).await;
        let files = Files::new(&[("0001_twice.sql", sql)]);
        let migrator = world.manager().migrator().tenants(files.read());
        let report = migrator.migrate_all(MigrateOptions::default()).await?;
        assert_eq!(report.failed, 6, "{sql}: {report}");
        for tenant in &report.tenants {
            assert!(matches!(tenant.outcome, Outcome::Failed { .. }), "{sql}: {tenant:?}");
            assert_eq!(tenant.attempts, attempts, "{sql}: {tenant:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn tenants_that_are_created_at_once_do_not_fail_because_of_each_other() -> TestResult {
    let ((world, _admin), (_files, migrations)) = (world().await, touching());
    let manager: TenantManager = world.manager();
    let provisioner = manager.provisioner().tenants(migrations);
    let create = |id: String| {
        let provisioner = provisioner.clone();
        async move { provisioner.create(id, CreateOptions::default()).await }
    };
    for created in join_all(ids(64).into_iter().map(create)).await {
        assert_eq!(created?.how, HowMade::AtOnce);
    }
    Ok(())
}

#[tokio::test]
async fn seeds_that_touch_the_same_are_tried_again() -> TestResult {
    let (world, mut admin) = world().await;
    create_schemas(&mut admin, &["acme"]).await;
    let seed = Seed::sql(
        "touch",
        "create table if not exists public.x (id int); create table own (id int);",
    );
    let seed = seed.lint(Lint::default().allow_schema("public"));
    let seeder = world.manager().seeder();
    run(&mut admin, "begin; create table public.x (id int)").await;
    let seeding = tokio::spawn(async move { seeder.seed_all(&seed, SeedOptions::default()).await });
    until_blocking(&mut admin).await;
    run(&mut admin, "commit").await;
    let report = seeding.await??;
    assert!(report.is_success() && report.seeded == 1, "{report}");
    Ok(())
}
