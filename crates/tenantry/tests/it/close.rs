//! Closing ends everything, waits for what is in use, and can be done twice.

use std::time::{Duration, Instant};

use tenantry::{ErrorKind, TableCatalog};
use tokio::task::JoinSet;

use crate::support::{
    TestResult, World, eventually, eventually_within, kind_of, name_of, pid_of, run, sessions,
    state_of,
};

#[tokio::test]
async fn after_close_there_is_no_session_and_everything_is_refused() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let manager = world.manager();
    let db = manager.tenant("acme").await?;
    name_of(&db).await?;
    let tx = db.begin().await?;
    assert!(sessions(&mut admin).await >= 2);
    drop(tx);
    manager.close().await;
    eventually("all sessions have ended", async || sessions(&mut admin).await == 0).await;
    assert!(manager.is_closed());
    assert_eq!(kind_of(db.acquire().await.expect_err("closed")), ErrorKind::Closed);
    assert_eq!(kind_of(db.begin().await.expect_err("closed")), ErrorKind::Closed);
    assert_eq!(db.ping().await.expect_err("closed").kind(), ErrorKind::Closed);
    assert_eq!(manager.tenant("acme").await.expect_err("closed").kind(), ErrorKind::Closed);
    assert_eq!(manager.tenants().await.expect_err("closed").kind(), ErrorKind::Closed);
    let error = name_of(&db).await.expect_err("closed");
    assert!(matches!(error, sqlx::Error::PoolClosed), "{error:?}");
    assert_eq!(kind_of(error), ErrorKind::Closed);
    let began = Instant::now();
    manager.close().await;
    manager.clone().close().await;
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(manager.snapshot().total, 0);
    Ok(())
}

#[tokio::test]
async fn a_manager_that_was_never_used_closes_at_once() -> TestResult {
    let world = World::new().await;
    world.manager().close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_while_many_acquire_leaves_no_session() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    for round in 0..12 {
        let manager = world.builder().max_connections(5).build()?;
        let dbs = [manager.tenant("acme").await?, manager.tenant("globex").await?];
        let mut tasks = JoinSet::new();
        for task in 0..40 {
            let db = dbs[task % 2].clone();
            tasks.spawn(async move {
                loop {
                    match name_of(&db).await {
                        Ok(name) => assert_eq!(name, db.tenant().id().as_str()),
                        Err(error) => return kind_of(error),
                    }
                }
            });
        }
        for _ in 0..round * 3 {
            tokio::task::yield_now().await;
        }
        manager.close().await;
        for kind in tasks.join_all().await {
            assert_eq!(kind, ErrorKind::Closed);
        }
        let pool = manager.snapshot();
        assert_eq!((pool.total, pool.leased, pool.waiting), (0, 0, 0));
        eventually("all sessions have ended", async || sessions(&mut admin).await == 0).await;
    }
    Ok(())
}

#[tokio::test]
async fn close_waits_for_what_is_in_use() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let db = manager.tenant("acme").await?;
    let mut tx = db.begin().await?;
    let closing = tokio::spawn({
        let manager = manager.clone();
        async move { manager.close().await }
    });
    eventually("it is closing", async || manager.is_closed()).await;
    sqlx::query("insert into users values (2, 'late')").execute(&mut *tx).await?;
    assert!(!closing.is_finished());
    tx.commit().await?;
    closing.await?;
    let mut admin = world.admin().await;
    let late: String = sqlx::query_scalar("select name from tenant_acme.users where id = 2")
        .fetch_one(&mut admin)
        .await?;
    assert_eq!(late, "late");
    eventually("all sessions have ended", async || sessions(&mut admin).await == 0).await;
    Ok(())
}

#[tokio::test]
async fn close_waits_no_longer_than_its_deadline() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let manager = world.manager();
    let mut lease = manager.tenant("acme").await?.acquire().await?;
    let began = Instant::now();
    manager.close_within(Duration::from_millis(100)).await;
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(name_of(&mut *lease).await?, "acme", "what is leased is not taken away");
    assert_eq!(sessions(&mut admin).await, 1);
    drop(lease);
    eventually("the last session has ended", async || sessions(&mut admin).await == 0).await;
    Ok(())
}

#[tokio::test]
async fn close_goes_on_when_the_first_call_was_dropped() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let lease = manager.tenant("acme").await?.acquire().await?;
    let first = tokio::time::timeout(Duration::from_millis(20), manager.close()).await;
    assert!(first.is_err());
    let second = tokio::spawn({
        let manager = manager.clone();
        async move { manager.close().await }
    });
    drop(lease);
    second.await?;
    let mut admin = world.admin().await;
    eventually("all sessions have ended", async || sessions(&mut admin).await == 0).await;
    Ok(())
}

#[tokio::test]
async fn waiting_requests_hear_of_the_close() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    let lease = db.acquire().await?;
    let waiting = tokio::spawn(async move { db.acquire().await.map(drop) });
    eventually("somebody waits", async || manager.snapshot().waiting == 1).await;
    manager.close_within(Duration::from_millis(1)).await;
    assert_eq!(kind_of(waiting.await?.expect_err("closed")), ErrorKind::Closed);
    drop(lease);
    Ok(())
}

#[tokio::test]
async fn an_abandoned_statement_does_not_outlive_the_close() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    for abandon_first in [true, false] {
        let manager = world.manager();
        let db = manager.tenant("acme").await?;
        let pid = pid_of(&db).await?;
        let sleeping =
            tokio::spawn(
                async move { sqlx::query("select pg_sleep(60)").execute(&db).await.map(drop) },
            );
        eventually("it runs", async || state_of(&mut admin, pid).await == "active").await;
        if abandon_first {
            sleeping.abort();
            drop(sleeping.await);
            manager.close().await;
        } else {
            let closing = tokio::spawn({
                let manager = manager.clone();
                async move { manager.close().await }
            });
            eventually("it is closing", async || manager.is_closed()).await;
            sleeping.abort();
            closing.await?;
        }
        let patience = Duration::from_secs(2);
        eventually_within(patience, "all sessions have ended", async || {
            sessions(&mut admin).await == 0
        })
        .await;
    }
    Ok(())
}

#[tokio::test]
async fn the_connection_that_listens_is_closed_too() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let manager = world.builder().catalog(TableCatalog::new()).max_connections(3).build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    run(&mut admin, "insert into tenants (id) values ('acme')").await;
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    listening(&mut admin, 1).await;
    manager.close().await;
    // A busy server takes a moment to end a session whose connection is closed.
    eventually("all sessions have ended", async || sessions(&mut admin).await == 0).await;
    Ok(())
}

#[tokio::test]
async fn a_manager_that_is_dropped_leaves_nothing_behind() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let manager = world.builder().catalog(TableCatalog::new()).max_connections(3).build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    run(&mut admin, "insert into tenants (id) values ('acme')").await;
    let db = manager.tenant("acme").await?;
    listening(&mut admin, 1).await;
    drop(manager);
    assert_eq!(name_of(&db).await?, "acme");
    drop(db);
    eventually("all sessions have ended", async || sessions(&mut admin).await == 0).await;
    Ok(())
}

async fn listening(admin: &mut sqlx::PgConnection, many: i64) {
    eventually("the catalog is listened to", async || {
        let found: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity \
             where datname = current_database() and query ilike 'listen%'",
        )
        .fetch_one(&mut *admin)
        .await
        .expect("the server is running");
        found == many
    })
    .await;
}
