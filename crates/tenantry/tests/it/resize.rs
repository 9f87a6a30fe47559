//! The budget can be changed while everything goes on, and is kept all the same.

use std::time::Duration;

use futures_util::future::try_join_all;
use tenantry::{HealthOptions, Pooling, SharedDb, TableCatalog, TenantManager};
use tokio::time::timeout;

use crate::support::{TestResult, World, at_rest, eventually, name_of, pid_of, sessions};

#[tokio::test]
async fn a_budget_grows_at_once_and_shrinks_as_connections_come_back() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    let manager = world.with_pool(|options| {
        options.max_connections = 2;
        options.acquire_timeout = Duration::from_secs(20);
    });
    let db = manager.shared();
    let held = try_join_all((0..2).map(|_| db.acquire())).await?;
    assert!(!can_acquire(db).await, "two are all that there are");

    let waiting = tokio::spawn({
        let db = db.clone();
        async move { db.acquire().await }
    });
    eventually("it waits", async || manager.snapshot().waiting == 1).await;
    manager.resize(6)?;
    let third = waiting.await??;
    let more = try_join_all((0..3).map(|_| db.acquire())).await?;
    let snapshot = manager.snapshot();
    assert_eq!((snapshot.max, snapshot.places_for_tenants, snapshot.leased), (6, 6, 6));
    assert_eq!(sessions(&mut admin).await, 6);

    // Idle ones go at once, those in use when they come back.
    drop(more);
    at_rest_but(&manager, 3).await;
    manager.resize(2)?;
    eventually("idle ones are closed", async || sessions(&mut admin).await == 3).await;
    assert!(!can_acquire(db).await, "three are in use, of two");
    drop(third);
    eventually("the third one is closed", async || sessions(&mut admin).await == 2).await;
    assert!(!can_acquire(db).await, "two are in use, of two");
    drop(held);
    at_rest(&manager).await;
    for tenant in ["acme", "globex", "acme"] {
        assert_eq!(name_of(&manager.tenant(tenant).await?).await?, tenant);
    }
    assert!(sessions(&mut admin).await <= 2);
    manager.close().await;
    Ok(())
}

async fn can_acquire(db: &SharedDb) -> bool {
    timeout(Duration::from_millis(200), db.acquire()).await.is_ok()
}

async fn at_rest_but(manager: &TenantManager, leased: usize) {
    eventually("the others have come back", async || manager.snapshot().leased == leased).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_resizes_keeps_the_budget_and_serves_everybody() -> TestResult {
    const MOST: usize = 6;
    let tenants = ["acme", "globex", "initech"];
    let world = World::with_tenants(&tenants).await;
    let mut admin = world.admin().await;
    let manager = world.with_pool(|options| {
        options.max_connections = MOST;
        options.acquire_timeout = Duration::from_secs(20);
    });
    let clients: Vec<_> = (0..12)
        .map(|client| {
            let (manager, tenant) = (manager.clone(), tenants[client % tenants.len()]);
            tokio::spawn(async move {
                for turn in 0..40 {
                    let db = manager.tenant(tenant).await?;
                    match (client + turn) % 3 {
                        0 => drop(db.acquire().await?),
                        1 => db.begin().await?.rollback().await?,
                        _ => assert_eq!(name_of(&db).await?, tenant),
                    }
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        })
        .collect();
    let mut budgets = (1..=MOST).rev().chain([MOST, 1, 2, MOST, 1, 3]).cycle();
    let mut resizes = 0;
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        manager.resize(budgets.next().expect("it goes round"))?;
        resizes += 1;
        assert!(manager.snapshot().total <= MOST, "{:?}", manager.snapshot());
        // A process of the server may outlive its connection for a moment.
        eventually("those that were closed have ended", async || {
            usize::try_from(sessions(&mut admin).await).is_ok_and(|seen| seen <= MOST)
        })
        .await;
    }
    for client in clients {
        client.await?.map_err(|error| error.to_string())?;
    }
    assert!(resizes > 10, "it was a storm");
    manager.resize(2)?;
    eventually("two are left", async || {
        let snapshot = manager.snapshot();
        (snapshot.leased, snapshot.waiting) == (0, 0) && sessions(&mut admin).await <= 2
    })
    .await;
    for tenant in tenants {
        assert_eq!(name_of(&manager.tenant(tenant).await?).await?, tenant);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_second_connection_is_compared_with_a_first_one_that_never_was() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    let alone = pid_of(&db).await?;
    assert_eq!(pooling(&manager).await, Pooling::Unknown);
    manager.resize(4)?;
    assert_ne!(pid_of(&db).await?, alone);
    eventually("two were compared", async || pooling(&manager).await == Pooling::Session).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_budget_that_cannot_be_used_is_refused_and_changes_nothing() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world
        .builder()
        .catalog(TableCatalog::new())
        .max_connections(8)
        .max_connections_per_tenant(4)
        .build()?;
    for (budget, words) in [(0, "at least 1"), (3, "at most 3"), (1, ""), (300_000, "at most")] {
        let error = manager.resize(budget).expect_err("it cannot be used").to_string();
        assert!(error.contains(words), "{budget}: {error}");
        assert_eq!(manager.snapshot().max, 8);
    }
    manager.close().await;
    Ok(())
}

async fn pooling(manager: &TenantManager) -> Pooling {
    manager.health(HealthOptions::default()).await.pooling
}
