use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use tenantry::{HealthOptions, ReplicaState, TenantDb};
use tokio::time::sleep;

use super::{builder, is_on_replica, warm};
use crate::{
    failover::Pair,
    support::{TestResult, connect, eventually, run},
};

async fn rows_at(url: &str) -> i64 {
    let count = sqlx::query_scalar("select count(*) from tenant_acme.added");
    count.fetch_one(&mut connect(url).await).await.expect("it is running")
}

/// Writes until it is told to stop, and counts what was acknowledged.
async fn write(db: &TenantDb, stop: &AtomicBool, written: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        match sqlx::query("insert into added values (1)").execute(db).await {
            Ok(_) => _ = written.fetch_add(1, Ordering::Relaxed),
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
}

const ADD: &str = "insert into added values (1)";

/// Promotes the standby, and tells how many rows it has then.
async fn promote(pair: &Pair) -> i64 {
    run(&mut connect(&pair.standby.url()).await, "select pg_promote(true, 60)").await;
    rows_at(&pair.standby.url()).await
}

#[tokio::test]
async fn once_a_replica_is_seen_promoted_the_former_primary_gets_no_write() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    warm(&manager, "acme").await;
    let db = manager.tenant("acme").await?;
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let writers = join_all((0..3).map(|_| write(&db, &stop, &written)));
    let failover = async {
        sleep(Duration::from_millis(200)).await;
        // The primary is up all the time, and would take writes.
        let before = promote(&pair).await;
        eventually("a read finds it, and writes follow", async || {
            is_on_replica(&db.read()).await;
            rows_at(&pair.standby.url()).await > before
        })
        .await;
        // Statements that were under way have ended.
        sleep(Duration::from_millis(200)).await;
        let (former, before) =
            (rows_at(&pair.primary.url()).await, written.load(Ordering::Relaxed));
        sleep(Duration::from_millis(300)).await;
        assert_eq!(rows_at(&pair.primary.url()).await, former, "none since");
        assert!(written.load(Ordering::Relaxed) > before, "they go on at the new primary");
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(writers, failover);
    // The former primary comes back, and is the first host.
    pair.primary.stop_now().await?;
    pair.primary.start_again().await?;
    let former = rows_at(&pair.primary.url()).await;
    let newcomer = builder(&pair).build()?;
    for manager in [&manager, &newcomer] {
        let db = manager.tenant("acme").await?;
        for _ in 0..10 {
            sqlx::query(ADD).execute(&db).await?;
            assert!(!is_on_replica(&db.read()).await, "own writes, on the new primary");
        }
        let health = manager.health(HealthOptions::default()).await;
        assert_eq!(health.replicas[0].state, ReplicaState::Unrelated);
    }
    assert_eq!(rows_at(&pair.primary.url()).await, former);
    manager.close().await;
    newcomer.close().await;
    Ok(())
}

#[tokio::test]
async fn a_refused_write_goes_to_the_server_that_was_promoted() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    let db = manager.tenant("acme").await?;
    sqlx::query(ADD).execute(&db).await?;
    let mut former = connect(&pair.primary.url()).await;
    eventually("it is replicated", async || rows_at(&pair.standby.url()).await == 1).await;
    promote(&pair).await;
    // The former primary is fenced.
    run(&mut former, "alter system set default_transaction_read_only to on").await;
    run(&mut former, "select pg_reload_conf()").await;
    eventually("it is fenced", async || {
        let read_only: String = sqlx::query_scalar("show default_transaction_read_only")
            .fetch_one(&mut connect(&pair.primary.url()).await)
            .await
            .expect("it is running");
        read_only == "on"
    })
    .await;
    for _ in 0..5 {
        assert_eq!(sqlx::query(ADD).execute(&db).await?.rows_affected(), 1);
    }
    // The fence is gone, and the former primary would take writes again.
    run(&mut former, "set default_transaction_read_only to off").await;
    run(&mut former, "alter system reset default_transaction_read_only").await;
    run(&mut former, "select pg_reload_conf()").await;
    for _ in 0..5 {
        let mut tx = db.begin().await?;
        sqlx::query(ADD).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    assert_eq!(rows_at(&pair.primary.url()).await, 1);
    assert_eq!(rows_at(&pair.standby.url()).await, 11, "each once");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn when_the_primary_is_gone_the_promoted_replica_takes_its_place() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    warm(&manager, "acme").await;
    let db = manager.tenant("acme").await?;
    sqlx::query(ADD).execute(&db).await?;
    eventually("it is replicated", async || rows_at(&pair.standby.url()).await == 1).await;
    pair.primary.stop_now().await?;
    assert!(sqlx::query(ADD).execute(&db).await.is_err(), "there is none");
    promote(&pair).await;
    eventually("writes are taken", async || sqlx::query(ADD).execute(&db).await.is_ok()).await;
    let count: i64 = sqlx::query_scalar("select count(*) from added").fetch_one(&db.read()).await?;
    assert_eq!(count, 2);
    manager.close().await;
    Ok(())
}
