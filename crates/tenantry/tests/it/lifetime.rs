//! Connections and tenant pools end when their time has come, and never while they are in use.

use std::time::Duration;

use tenantry::{EvictReason, PoolOptions, TenantManager};

use crate::support::{
    TestResult, World, at_rest, eventually, kill, name_of, pid_of, run, sessions,
};

fn evicted(manager: &TenantManager, reason: EvictReason) -> u64 {
    manager.snapshot().evictions.get(&reason).copied().unwrap_or_default()
}

fn bound(manager: &TenantManager) -> Vec<String> {
    let mut ids: Vec<_> =
        manager.snapshot().tenants.into_iter().map(|pool| pool.tenant.to_string()).collect();
    ids.sort();
    ids
}

/// Evicts the tenant by some means while a statement and a transaction of it are running.
async fn while_in_use(
    reason: EvictReason,
    options: impl FnOnce(&mut PoolOptions),
    evict: impl AsyncFn(&TenantManager),
) -> TestResult {
    let world = World::with_tenants(&["acme", "b", "c", "d"]).await;
    let manager = world.with_pool(|pool| {
        pool.max_connections = 3;
        options(pool);
    });
    let acme = manager.tenant("acme").await?;
    let mut tx = acme.begin().await?;
    sqlx::query("update users set name = 'changed'").execute(&mut *tx).await?;
    let statement = tokio::spawn({
        let acme = acme.clone();
        async move {
            let sql = "select name from users, pg_sleep(0.3)";
            sqlx::query_scalar::<_, String>(sql).fetch_one(&acme).await
        }
    });
    eventually("both are running", async || manager.snapshot().leased == 2).await;
    evict(&manager).await;
    assert_eq!(statement.await??, "acme");
    assert_eq!(name_of(&mut *tx).await?, "changed");
    tx.commit().await?;
    assert_eq!(name_of(&acme).await?, "changed");
    let before = evicted(&manager, reason);
    evict(&manager).await;
    eventually("it is evicted when it is at rest", async || evicted(&manager, reason) > before)
        .await;
    assert_eq!(name_of(&acme).await?, "changed", "the next use starts afresh");
    at_rest(&manager).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn evicting_a_tenant_disturbs_nothing_that_runs() -> TestResult {
    while_in_use(
        EvictReason::Requested,
        |_| {},
        async |manager| {
            assert!(manager.evict("acme"));
        },
    )
    .await
}

#[tokio::test]
async fn the_end_of_a_tenant_pools_time_disturbs_nothing_that_runs() -> TestResult {
    let short = |options: &mut PoolOptions| options.tenant_pool_ttl = Duration::from_millis(40);
    while_in_use(EvictReason::Ttl, short, async |_| {
        // Longer than a tenant pool is kept, and than it takes to look around.
        tokio::time::sleep(Duration::from_millis(100)).await;
    })
    .await
}

#[tokio::test]
async fn too_many_tenant_pools_disturb_nothing_that_runs() -> TestResult {
    let few = |options: &mut PoolOptions| options.max_tenant_pools = 3;
    while_in_use(EvictReason::Capacity, few, async |manager| {
        for id in ["b", "c", "d", "b"] {
            let db = manager.tenant(id).await.expect("it exists");
            assert_eq!(name_of(&db).await.expect("it is served"), id);
        }
    })
    .await
}

#[tokio::test]
async fn a_tenant_pool_is_evicted_exactly_once() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    assert!(!manager.evict(acme.tenant().id()), "it has no connection yet");
    name_of(&globex).await?;
    for round in 1..4 {
        let lease = acme.acquire().await?;
        assert_eq!(bound(&manager), ["acme", "globex"]);
        assert!(manager.evict(acme.tenant().id()));
        assert!(!manager.evict(acme.tenant().id()));
        assert_eq!(bound(&manager), ["globex"]);
        // While the old one is still in use, a new one begins.
        assert_eq!(name_of(&acme).await?, "acme");
        assert_eq!(bound(&manager), ["acme", "globex"]);
        drop(lease);
        assert!(manager.evict(acme.tenant().id()));
        at_rest(&manager).await;
        assert_eq!(evicted(&manager, EvictReason::Requested), 2 * round);
        assert_eq!(bound(&manager), ["globex"]);
    }
    manager.close().await;
    assert_eq!(evicted(&manager, EvictReason::Closed), 1);
    Ok(())
}

#[tokio::test]
async fn a_session_is_retired_after_so_many_tenants() -> TestResult {
    const TENANTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let world = World::with_tenants(&TENANTS).await;
    // The catalog has a session of its own here, and does not count.
    let manager = world.with_pool(|options| {
        options.max_connections = 1;
        options.max_tenants_per_connection = 3;
    });
    let mut dbs = Vec::new();
    for id in TENANTS {
        dbs.push(manager.tenant(id).await?);
    }
    manager.shared().ping().await?;
    let mut pids = Vec::new();
    for (db, id) in dbs.iter().zip(TENANTS) {
        assert_eq!(name_of(db).await?, id);
        pids.push(pid_of(db).await?);
    }
    pids.dedup();
    assert!((2..=4).contains(&pids.len()), "{pids:?}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn an_idle_session_is_closed_and_the_minimum_kept() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    for keep in [0, 2] {
        let manager = world.with_pool(|options| {
            options.max_connections = 5;
            options.idle_timeout = Some(Duration::from_millis(80));
            options.min_idle = keep;
        });
        let db = manager.tenant("acme").await?;
        let leases = [db.acquire().await?, db.acquire().await?, db.acquire().await?];
        assert!(sessions(&mut admin).await >= 3);
        drop(leases);
        let kept = i64::try_from(keep)?;
        eventually("idle sessions are closed", async || sessions(&mut admin).await == kept).await;
        eventually("and counted so", async || manager.snapshot().idle == keep).await;
        assert_eq!(name_of(&db).await?, "acme");
        manager.close().await;
        eventually("all are closed", async || sessions(&mut admin).await == 0).await;
    }
    Ok(())
}

#[tokio::test]
async fn the_minimum_is_opened_before_anybody_needs_it() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let manager = world.with_pool(|options| options.min_idle = 4);
    name_of(&manager.tenant("acme").await?).await?;
    eventually("they are open", async || manager.snapshot().idle >= 4).await;
    let pid: i32 = sqlx::query_scalar(
        "select pid from pg_stat_activity \
         where application_name like 'tenantry/%' and datname = current_database() limit 1",
    )
    .fetch_one(&mut admin)
    .await?;
    kill(&mut admin, pid).await;
    assert!(sessions(&mut admin).await >= 3);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_session_that_has_lived_long_enough_is_replaced() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| {
        options.max_connections = 1;
        options.max_lifetime = Some(Duration::from_millis(150));
    });
    let db = manager.tenant("acme").await?;
    let mut lease = db.acquire().await?;
    let first = lease.backend_pid().ok_or("it is bound")?;
    run(&mut *lease, "select pg_sleep(0.3)").await;
    assert_eq!(name_of(&mut *lease).await?, "acme", "it is not closed while leased");
    drop(lease);
    assert_ne!(pid_of(&db).await?, first);
    let second = pid_of(&db).await?;
    eventually("it is replaced in turn", async || {
        pid_of(&db).await.expect("it is served") != second
    })
    .await;
    manager.close().await;
    Ok(())
}
