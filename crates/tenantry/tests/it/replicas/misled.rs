//! Servers that are not what they seem, or not what they were.

use std::time::Duration;

use tenantry::{
    FixedCatalog, Ident, Isolation, KeyType, ReplicaOptions, Rows, ServerOptions, TableCatalog,
    TenantDb, TenantId, TenantManager, TenantRecord,
    seed::{Seed, SeedOptions},
};

use super::{builder, is_on_replica, pause, resume, warm};
use crate::{
    failover::Pair,
    faults::Frozen,
    support::{TestResult, connect, create_tenant, eventually, name_of, pool_options, run},
};

const ADD: &str = "insert into added values (1)";

async fn count(db: &TenantDb) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from added").fetch_one(&db.read()).await
}

/// Its processes start over, and replay again from an earlier position. The server counts as the same: its start time
/// does not change.
#[tokio::test]
async fn a_standby_that_has_crashed_is_behind_what_it_had() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    warm(&manager, "acme").await;
    let db = manager.tenant("acme").await?;
    run(&mut connect(&pair.primary.url()).await, "checkpoint").await;
    for written in 1..=3 {
        sqlx::query(ADD).execute(&db).await?;
        assert_eq!(count(&db).await?, written);
        warm(&manager, "acme").await;
    }
    assert_eq!(count(&db).await?, 3);
    let mut standby = connect(&pair.standby.url()).await;
    run(&mut standby, "alter system set recovery_min_apply_delay to '1h'").await;
    run(&mut standby, "select pg_reload_conf()").await;
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut standby).await?;
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status()?;
    assert!(killed.success());
    let at = async || -> sqlx::Result<i64> {
        use sqlx::Connection;
        let mut conn = sqlx::PgConnection::connect(&pair.standby.url()).await?;
        sqlx::query_scalar("select count(*) from tenant_acme.added").fetch_one(&mut conn).await
    };
    eventually("it has started over", async || at().await.is_ok()).await;
    assert_eq!(at().await?, 0, "it replays the rest later");
    for _ in 0..150 {
        assert_eq!(count(&db).await?, 3);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_replica_in_another_database_of_the_copy_is_not_read() -> TestResult {
    let pair = Pair::start().await?;
    let mut admin = connect(&pair.primary.url()).await;
    run(&mut admin, "create database staging").await;
    let key = "nullif(current_setting('tenantry.tenant', true), '')";
    let table = format!(
        "create table public.notes (tenant_id text not null default {key}, text text not null); \
         alter table notes enable row level security; alter table notes force row level security; \
         create policy tenantry_all on notes as permissive for all using (true) with check (true); \
         create policy tenantry_tenant on notes as restrictive for all \
           using (tenant_id = (select {key})) with check (tenant_id = {key}); \
         grant select, insert on notes to app; insert into notes values ('acme', current_database())"
    );
    run(&mut admin, "create role app").await;
    let staging = pair.primary.database_url("staging");
    for url in [&pair.primary.url(), &staging] {
        run(&mut connect(url).await, &table).await;
    }
    let manager = TenantManager::builder(pair.primary.url())
        .isolation(Isolation::rows(Rows::new().key(KeyType::Text)))
        .catalog(FixedCatalog::new([
            TenantRecord::new(TenantId::parse("acme")?).role(Ident::parse("app")?)
        ]))
        .replica("main", pair.standby.database_url("staging"))
        .build()?;
    let db = manager.tenant("acme").await?;
    for _ in 0..100 {
        let text: String =
            sqlx::query_scalar("select text from notes").fetch_one(&db.read()).await?;
        assert_eq!(text, "postgres");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    manager.close().await;
    Ok(())
}

/// A transaction that was begun before the failover is not committed at the former primary.
#[tokio::test]
async fn an_open_transaction_is_not_committed_at_a_former_primary() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    warm(&manager, "acme").await;
    let db = manager.tenant("acme").await?;
    let mut tx = db.begin().await?;
    sqlx::query(ADD).execute(&mut *tx).await?;
    run(&mut connect(&pair.standby.url()).await, "select pg_promote(true, 60)").await;
    let at = async |url: String| -> i64 {
        let count = sqlx::query_scalar("select count(*) from tenant_acme.added");
        count.fetch_one(&mut connect(&url).await).await.expect("it is running")
    };
    eventually("writes follow", async || {
        is_on_replica(&db.read()).await;
        sqlx::query(ADD).execute(&db).await.is_ok() && at(pair.standby.url()).await > 0
    })
    .await;
    let before = at(pair.primary.url()).await;
    let committed = tx.commit().await;
    assert!(committed.is_err(), "it is lost");
    assert_eq!(at(pair.primary.url()).await, before);
    manager.close().await;
    Ok(())
}

/// The process of the former handle hears of the move from another handle only.
#[tokio::test]
async fn a_handle_from_before_a_move_sees_what_is_written_after_it() -> TestResult {
    let pair = Pair::start().await?;
    let eu = tenantry_devdb::DevServer::start().await?;
    let manager = TenantManager::builder(pair.primary.url())
        .server("eu-1", ServerOptions::new(eu.url()))
        .max_connections(6)
        .catalog(TableCatalog::new())
        .replica("main", pair.standby.url())
        .build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    run(manager.shared(), "insert into tenants (id) values ('acme')").await;
    warm(&manager, "acme").await;
    let before = manager.tenant("acme").await?;
    assert_eq!(count(&before).await?, 0);
    pause(&pair).await;
    warm(&manager, "acme").await;
    // Another process moves it.
    let mut there = connect(&eu.url()).await;
    create_tenant(&mut there, "acme").await;
    run(&mut there, "create table tenant_acme.added (id int)").await;
    let mut here = connect(&pair.primary.url()).await;
    run(&mut here, "alter schema tenant_acme rename to moved_away").await;
    run(&mut here, "update tenants set server = 'eu-1', epoch = 2 where id = 'acme'").await;
    manager.invalidate("acme").await;
    let after = manager.tenant("acme").await?;
    sqlx::query(ADD).execute(&after).await?;
    assert_eq!(count(&before).await?, 1);
    resume(&pair).await;
    manager.close().await;
    Ok(())
}

/// What is written to the tables of all by maintenance.
#[tokio::test]
async fn what_a_seed_has_written_to_a_tenants_rows() -> TestResult {
    let pair = Pair::start().await?;
    let mut admin = connect(&pair.primary.url()).await;
    let key = "nullif(current_setting('tenantry.tenant', true), '')";
    let table = format!(
        "create role app; \
         create table public.added (tenant_id text not null default {key}, id int); \
         alter table added enable row level security; alter table added force row level security; \
         create policy tenantry_all on added as permissive for all using (true) with check (true); \
         create policy tenantry_tenant on added as restrictive for all \
           using (tenant_id = (select {key})) with check (tenant_id = {key}); \
         grant select, insert on added to app"
    );
    run(&mut admin, &table).await;
    let manager = TenantManager::builder(pair.primary.url())
        .isolation(Isolation::rows(Rows::new().key(KeyType::Text)))
        .catalog(FixedCatalog::new([
            TenantRecord::new(TenantId::parse("acme")?).role(Ident::parse("app")?)
        ]))
        .replica("main", pair.standby.url())
        .build()?;
    warm(&manager, "acme").await;
    pause(&pair).await;
    warm(&manager, "acme").await;
    let db = manager.tenant("acme").await?;
    let seed = Seed::sql("one", "insert into added (id) values (1);");
    let report = manager.seeder().seed(["acme"], &seed, SeedOptions::default()).await?;
    assert_eq!(report.seeded, 1, "{report}");
    assert_eq!(count(&db).await?, 1);
    let shared = Seed::sql("all", "insert into added values ('acme', 2);");
    let report = manager.seeder().seed_shared(&shared, SeedOptions::default()).await?;
    assert_eq!(report.seeded, 1, "{report}");
    assert_eq!(count(&db).await?, 2);
    resume(&pair).await;
    manager.close().await;
    Ok(())
}

/// A query that was sent to a server that hangs waits for it. Later ones do not.
#[tokio::test]
async fn a_replica_that_hangs_is_left_alone() -> TestResult {
    let pair = Pair::start().await?;
    let manager = TenantManager::builder(pair.primary.url())
        .pool_options(pool_options(|options| {
            options.max_connections = 6;
            options.statement_timeout = Some(Duration::from_millis(500));
        }))
        .replica("main", ReplicaOptions::new(pair.standby.url()))
        .build()?;
    warm(&manager, "acme").await;
    let db = manager.tenant("acme").await?;
    let frozen = Frozen::freeze(&pair.standby);
    let began = std::time::Instant::now();
    let mut slow = Vec::new();
    while began.elapsed() < Duration::from_secs(6) {
        let one = std::time::Instant::now();
        let read = name_of(&db.read()).await;
        if read.is_err() || one.elapsed() > Duration::from_millis(300) {
            slow.push((began.elapsed(), read));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(frozen);
    // One has been sent there. Then one has waited for a connection, and another until it was clear that there are none.
    assert!(slow.len() <= 3 && slow.iter().skip(1).all(|(_, read)| read.is_ok()), "{slow:?}");
    warm(&manager, "acme").await;
    manager.close().await;
    Ok(())
}
