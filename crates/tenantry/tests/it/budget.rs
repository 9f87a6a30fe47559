//! Connections to the server never exceed the budget, and everybody is served in turn or refused.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::PgConnection;
use tenantry::{Error, ErrorKind, TenantDb, TenantManager};
use tokio::task::{JoinHandle, JoinSet};

use crate::support::{
    TestResult, World, at_rest, create_tenant, eventually, kind_of, name_of, sessions,
};

/// Watches how many sessions there are until it is told to stop, and tells the most it has seen.
fn watch(mut admin: PgConnection, stop: Arc<AtomicBool>) -> JoinHandle<(i64, u32)> {
    tokio::spawn(async move {
        let (mut most, mut looks) = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            most = most.max(sessions(&mut admin).await);
            looks += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (most, looks)
    })
}

async fn everybody_is_served(tenants: usize, queries: usize, budget: usize) -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    let ids: Vec<String> = (0..tenants).map(|n| format!("t{n}")).collect();
    for id in &ids {
        create_tenant(&mut admin, id).await;
    }
    let manager = world.with_pool(|options| {
        options.max_connections = budget;
        options.acquire_timeout = Duration::from_secs(30);
    });
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = watch(admin, Arc::clone(&stop));
    let mut tasks = JoinSet::new();
    for id in ids {
        for query in 0..queries {
            let (manager, id) = (manager.clone(), id.clone());
            tasks.spawn(async move {
                let db = manager.tenant(id.as_str()).await?;
                let name: String = if query % 2 == 0 {
                    name_of(&db).await?
                } else {
                    let mut tx = db.begin().await?;
                    sqlx::query("select pg_sleep(0.002)").execute(&mut *tx).await?;
                    let name = name_of(&mut *tx).await?;
                    tx.commit().await?;
                    name
                };
                assert_eq!(name, id);
                Ok::<_, tenantry::Error>(())
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    stop.store(true, Ordering::Relaxed);
    let (most, looks) = watcher.await?;
    assert!(looks > 5, "nobody watched");
    assert!(most > 1 && most <= i64::try_from(budget)?, "{most} sessions");
    at_rest(&manager).await;
    manager.close().await;
    let mut admin = world.admin().await;
    eventually("all sessions have ended", async || sessions(&mut admin).await == 0).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_tenants_with_ten_queries_each_fit_into_forty_connections() -> TestResult {
    everybody_is_served(10, 10, 40).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_tenants_fit_into_twenty_connections() -> TestResult {
    everybody_is_served(200, 3, 20).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_tenants_fit_into_one_connection() -> TestResult {
    everybody_is_served(200, 1, 2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_come_and_go_stay_in_the_budget() -> TestResult {
    const TENANTS: [&str; 4] = ["a", "b", "c", "d"];
    let world = World::with_tenants(&TENANTS).await;
    let mut options = crate::support::pool_options(|options| {
        options.max_connections = 4;
        options.max_tenants_per_connection = 1;
        options.acquire_timeout = Duration::from_secs(30);
    });
    options.max_lifetime = Some(Duration::from_millis(50));
    let dedicate = |tenant: &tenantry::TenantRecord| tenant.id.as_str() == "a";
    let manager = world.builder().pool_options(options).dedicate(dedicate).build()?;
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = watch(world.admin().await, Arc::clone(&stop));
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let manager = manager.clone();
        tasks.spawn(async move {
            for turn in 0..25 {
                let id = TENANTS[(task + turn) % 4];
                let db = manager.tenant(id).await?;
                assert_eq!(name_of(&mut *db.acquire().await?).await?, id);
            }
            Ok::<_, tenantry::Error>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    stop.store(true, Ordering::Relaxed);
    let (most, looks) = watcher.await?;
    assert!(looks > 5 && most <= 4, "{most} sessions");
    manager.close().await;
    Ok(())
}

async fn hold(db: &TenantDb, many: usize) -> Result<Vec<tenantry::Lease>, tenantry::Error> {
    let mut leases = Vec::new();
    for _ in 0..many {
        leases.push(db.acquire().await?);
    }
    Ok(leases)
}

fn impatient(world: &World) -> TenantManager {
    world.with_pool(|options| {
        options.max_connections = 3;
        options.max_connections_per_tenant = Some(2);
        options.max_waiting_per_tenant = 1;
        options.acquire_timeout = Duration::from_millis(200);
    })
}

#[tokio::test]
async fn a_tenant_gets_no_more_than_its_cap() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = impatient(&world);
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let held = hold(&acme, 2).await?;
    let error = acme.acquire().await.expect_err("the cap is reached");
    assert_eq!(kind_of(error), ErrorKind::Timeout);
    assert_eq!(name_of(&globex).await?, "globex");
    drop(held);
    assert_eq!(name_of(&acme).await?, "acme");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn whoever_waits_too_long_is_told_when_to_come_back() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = impatient(&world);
    let acme = manager.tenant("acme").await?;
    let _held = hold(&acme, 2).await?;
    let began = Instant::now();
    let error = acme.acquire().await.expect_err("nothing becomes free");
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert!(matches!(error, sqlx::Error::PoolTimedOut), "{error:?}");
    let error = Error::from(error);
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Timeout, true));
    assert!(error.retry_after().is_some_and(|after| after > Duration::ZERO));
    let error = name_of(&acme).await.expect_err("nothing becomes free");
    assert!(matches!(error, sqlx::Error::PoolTimedOut), "{error:?}");
    assert!(Error::from(error).retry_after().is_some());
    // What sqlx's error has no room for.
    let error = acme.ping().await.expect_err("nothing becomes free");
    let told = "no connection in time (tenant acme): waited 200ms for a connection: 2 of 3 connections \
                for tenants are in use, 2 by this tenant (at most 2); this task has held a \
                connection of tenant acme for ";
    assert!(error.to_string().starts_with(told), "{error}");
    let pool = manager.snapshot();
    assert_eq!((pool.waiting, pool.acquires.timeout), (0, 3));
    Ok(())
}

#[tokio::test]
async fn one_too_many_in_the_queue_is_refused_at_once() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = impatient(&world);
    let acme = manager.tenant("acme").await?;
    let held = hold(&acme, 2).await?;
    let waiting = tokio::spawn({
        let acme = acme.clone();
        async move { name_of(&acme).await }
    });
    eventually("somebody waits", async || manager.snapshot().waiting == 1).await;
    let error = Error::from(acme.acquire().await.expect_err("the queue is full"));
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Overloaded, true));
    assert!(error.retry_after().is_some());
    assert_eq!(kind_of(name_of(&acme).await.expect_err("full")), ErrorKind::Overloaded);
    assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex");
    drop(held);
    assert_eq!(waiting.await??, "acme");
    assert_eq!(manager.snapshot().acquires.refused, 2);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_flood_of_one_tenant_keeps_neither_the_catalog_nor_others_away() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.with_pool(|options| options.max_connections = 4);
    let acme = manager.tenant("acme").await?;
    let mut flood = JoinSet::new();
    for _ in 0..200 {
        let acme = acme.clone();
        flood.spawn(async move { sqlx::query("select pg_sleep(0.02)").execute(&acme).await });
    }
    eventually("the flood waits", async || manager.snapshot().waiting > 100).await;
    assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex");
    assert!(manager.snapshot().waiting > 50, "the flood was over before");
    flood.shutdown().await;
    at_rest(&manager).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn dedicated_connections_are_never_another_tenants() -> TestResult {
    const TENANTS: [&str; 4] = ["vip1", "a", "vip2", "b"];
    let world = World::with_tenants(&TENANTS).await;
    for budget in [1, 3] {
        let manager = world
            .builder()
            .max_connections(budget)
            .dedicate(|tenant| tenant.id.as_str().starts_with("vip"))
            .build()?;
        let mut seen: Vec<HashSet<i32>> = vec![HashSet::new(); TENANTS.len()];
        for turn in 0..24 {
            let tenant = (turn * 7 + turn / 3) % TENANTS.len();
            let db = manager.tenant(TENANTS[tenant]).await?;
            let mut lease = db.acquire().await?;
            assert_eq!(name_of(&mut *lease).await?, TENANTS[tenant]);
            seen[tenant].extend(lease.backend_pid());
            if turn % 5 == 0 {
                manager.evict(db.tenant().id());
            }
        }
        for vip in [0, 2] {
            for other in (0..TENANTS.len()).filter(|other| *other != vip) {
                assert!(seen[vip].is_disjoint(&seen[other]), "{seen:?}");
            }
        }
        assert!(!seen[0].is_empty() && !seen[2].is_empty());
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_dedicated_tenant_keeps_what_it_has_while_there_is_room() -> TestResult {
    let world = World::with_tenants(&["vip", "a"]).await;
    let manager = world
        .builder()
        .max_connections(2)
        .dedicate(|tenant| tenant.id.as_str() == "vip")
        .build()?;
    let (vip, a) = (manager.tenant("vip").await?, manager.tenant("a").await?);
    let pid = crate::support::pid_of(&vip).await?;
    for _ in 0..3 {
        assert_eq!(name_of(&a).await?, "a");
        assert_eq!(crate::support::pid_of(&vip).await?, pid);
    }
    manager.close().await;
    Ok(())
}
