//! Ways to write that are easily overlooked: each is in the tenant's next read, too.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::PgConnection;
use tenantry::{
    TenantDb, TenantManager,
    seed::{Seed, SeedOptions},
};
use tokio::time::timeout;

use super::{builder, is_on_replica, pause, resume, warm};
use crate::{
    failover::Pair,
    faults::{Mode, Proxy},
    support::{TestResult, connect, eventually, pool_options, run},
};

const ADD: &str = "insert into added values (1)";

async fn count(db: &TenantDb) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from added").fetch_one(&db.read()).await
}

/// A replica that has answered, and replays nothing from now on.
async fn stopped(pair: &Pair, manager: &TenantManager) -> TenantDb {
    warm(manager, "acme").await;
    pause(pair).await;
    warm(manager, "acme").await;
    manager.tenant("acme").await.expect("it is served")
}

#[tokio::test]
async fn what_a_seed_has_written() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    let db = stopped(&pair, &manager).await;
    let in_transaction = Seed::new("one", |tx| {
        Box::pin(async move {
            sqlx::query(ADD).execute(&mut **tx).await?;
            Ok(())
        })
    });
    let report = manager.seeder().seed(["acme"], &in_transaction, SeedOptions::default()).await?;
    assert_eq!(report.seeded, 1, "{report}");
    assert_eq!(count(&db).await?, 1);
    resume(&pair).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_a_transaction_has_committed_by_itself() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    let db = stopped(&pair, &manager).await;
    let mut tx = db.begin().await?;
    sqlx::query(ADD).execute(&mut *tx).await?;
    assert_eq!(count(&db).await?, 0);
    run(&mut *tx, "commit and chain").await;
    assert_eq!(count(&db).await?, 1);
    tx.commit().await?;
    resume(&pair).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_a_stream_has_written_whose_rows_are_still_being_read() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    let db = stopped(&pair, &manager).await;
    let mut added =
        sqlx::query_as::<_, (i32,)>("insert into added select generate_series(1, 3) returning id")
            .fetch(&db);
    assert!(added.try_next().await?.is_some());
    // PostgreSQL has inserted, and committed, all rows by now.
    let mut admin = connect(&pair.primary.url()).await;
    eventually("it is committed", async || committed(&mut admin).await == 3).await;
    assert_eq!(count(&db).await?, 3);
    drop(added);
    resume(&pair).await;
    manager.close().await;
    Ok(())
}

/// A statement whose future is dropped can be committed later.
#[tokio::test]
async fn what_was_committed_after_its_future_was_dropped() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    let db = stopped(&pair, &manager).await;
    let mut admin = connect(&pair.primary.url()).await;
    let mut written = 0;
    for _ in 0..20 {
        let slow = "insert into added select 1 from pg_sleep(0.03)";
        let write = timeout(Duration::from_millis(10), sqlx::query(slow).execute(&db)).await;
        let is_dropped = write.is_err();
        count(&db).await?;
        tokio::time::sleep(Duration::from_millis(150)).await;
        let there = committed(&mut admin).await;
        assert_eq!(count(&db).await?, there);
        written += usize::from(is_dropped && there > 0);
    }
    assert!(written > 0, "none was committed");
    resume(&pair).await;
    manager.close().await;
    Ok(())
}

/// A statement whose connection breaks can be committed later. Sometimes PostgreSQL notices before
/// that the client has gone, and ends it.
#[tokio::test]
async fn what_was_committed_after_its_connection_was_lost() -> TestResult {
    let pair = Pair::start().await?;
    let proxy = Proxy::before(pair.primary.port()).await;
    let manager = TenantManager::builder(proxy.url())
        .pool_options(pool_options(|options| options.max_connections = 6))
        .replica("main", pair.standby.url())
        .build()?;
    let db = stopped(&pair, &manager).await;
    let mut admin = connect(&pair.primary.url()).await;
    let mut committed_later = 0;
    for _ in 0..20 {
        let before = committed(&mut admin).await;
        let write = tokio::spawn({
            let db = db.clone();
            let slow = "insert into added select 1 from pg_sleep(0.3)";
            async move { sqlx::query(slow).execute(&db).await }
        });
        while !is_inserting(&mut admin).await && !write.is_finished() {}
        proxy.set(Mode::Cut);
        let is_lost = write.await?.is_err();
        let is_later = is_lost && committed(&mut admin).await == before;
        proxy.set(Mode::Pass);
        eventually("reads are served", async || count(&db).await.is_ok()).await;
        eventually("it has ended", async || !is_inserting(&mut admin).await).await;
        let there = committed(&mut admin).await;
        assert_eq!(count(&db).await?, there);
        committed_later += usize::from(is_later && there > before);
        if committed_later == 3 {
            break;
        }
    }
    assert!(committed_later > 0, "none was committed after its connection was lost");
    resume(&pair).await;
    manager.close().await;
    Ok(())
}

/// Returns how many rows there are on the primary.
async fn committed(admin: &mut PgConnection) -> i64 {
    let count = sqlx::query_scalar("select count(*) from tenant_acme.added");
    count.fetch_one(admin).await.expect("it is running")
}

async fn is_inserting(admin: &mut PgConnection) -> bool {
    let running = "select exists (select from pg_stat_activity \
                   where query like 'insert into added%' and state = 'active')";
    sqlx::query_scalar(running).fetch_one(admin).await.expect("it is running")
}

/// A read-only transaction stays so, also on a server that takes writes.
#[tokio::test]
async fn a_transaction_for_reading_does_not_write() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    let db = stopped(&pair, &manager).await;
    sqlx::query(ADD).execute(&db).await?;
    assert!(!is_on_replica(&db.read()).await, "it has to be on the primary");
    let mut tx = db.read().begin().await?;
    let writable = crate::support::try_run(&mut *tx, "set transaction read write").await;
    if writable.is_ok() {
        let written = sqlx::query(ADD).execute(&mut *tx).await;
        assert!(written.is_err(), "it has written");
    }
    drop(tx);
    resume(&pair).await;
    manager.close().await;
    Ok(())
}
