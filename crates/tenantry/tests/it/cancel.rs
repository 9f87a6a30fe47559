//! A request that goes away at any moment leaves the pool as it was.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tenantry::TenantManager;
use tokio::{task::JoinSet, time::timeout};

use crate::requests::{ACTS, own};
use crate::support::{
    TestResult, World, at_rest, eventually, eventually_within, idle_in_transaction, name_of,
    pid_of, sessions, state_of,
};

const TENANTS: [&str; 4] = ["acme", "globex", "initech", "hooli"];
const BUDGET: usize = 3;

/// A future that is dropped after so many polls.
struct Polls {
    inner: BoxFuture<'static, sqlx::Result<()>>,
    left: usize,
}

impl Future for Polls {
    /// What the future came to, or nothing when it was dropped before.
    type Output = Option<sqlx::Result<()>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        let polled = self.inner.as_mut().poll(context).map(Some);
        if polled.is_pending() && self.left == 0 { Poll::Ready(None) } else { polled }
    }
}

/// Sees to it that the pool is whole and nobody's session holds anything.
async fn is_whole(manager: &TenantManager, world: &World) -> TestResult {
    let mut admin = world.admin().await;
    at_rest(manager).await;
    eventually("no transaction is left open", async || idle_in_transaction(&mut admin).await == 0)
        .await;
    let mut leases = Vec::new();
    for turn in 0..BUDGET {
        let db = manager.tenant(TENANTS[turn % 4]).await?;
        let mut lease = db.acquire().await?;
        own(&db, &name_of(&mut *lease).await?);
        leases.push(lease);
    }
    assert_eq!(manager.snapshot().leased, BUDGET);
    assert!(sessions(&mut admin).await <= i64::try_from(BUDGET)?);
    drop(leases);
    at_rest(manager).await;
    for id in TENANTS {
        assert_eq!(name_of(&manager.tenant(id).await?).await?, id);
    }
    Ok(())
}

fn manager_of(world: &World) -> TenantManager {
    world.with_pool(|options| {
        options.max_connections = BUDGET;
        options.reserved_connections = Some(0);
        options.acquire_timeout = Duration::from_secs(20);
    })
}

#[tokio::test]
async fn a_future_may_be_dropped_after_any_poll() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let manager = manager_of(&world);
    for (act_number, (name, act)) in ACTS.iter().enumerate() {
        let mut polls = 0;
        loop {
            let tenant = TENANTS[(act_number + polls) % 4];
            let inner = act(manager.tenant(tenant).await?);
            match (Polls { inner, left: polls }).await {
                None => polls += 1,
                Some(Ok(())) => break,
                Some(Err(error)) => return Err(format!("{name} after {polls}: {error}").into()),
            }
            let next = manager.tenant(TENANTS[polls % 4]).await?;
            own(&next, &name_of(&next).await.map_err(|e| format!("after {name} {polls}: {e}"))?);
            assert!(polls < 2000, "{name} never ends");
        }
        assert!(polls > 0, "{name} never waits");
        is_whole(&manager, &world).await.map_err(|error| format!("after {name}: {error}"))?;
    }
    manager.close().await;
    Ok(())
}

/// Starts and drops thousands of requests while others go on and see only their own tenant.
async fn storm(world: &World, requests: usize) -> TestResult {
    let manager = manager_of(world);
    let stop = Arc::new(AtomicBool::new(false));
    let (finished, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut steady = JoinSet::new();
    for id in TENANTS {
        let (manager, stop) = (manager.clone(), Arc::clone(&stop));
        steady.spawn(async move {
            let mut served = 0;
            while !stop.load(Ordering::Relaxed) {
                let db = manager.tenant(id).await?;
                own(&db, &name_of(&db).await?);
                served += 1;
            }
            Ok::<usize, tenantry::Error>(served)
        });
    }
    let mut tasks = JoinSet::new();
    for task in 0..8_usize {
        let manager = manager.clone();
        let (finished, dropped) = (Arc::clone(&finished), Arc::clone(&dropped));
        tasks.spawn(async move {
            let mut chance = task as u64 * 7919 + 1;
            for turn in 0..requests / 8 {
                // A linear congruential generator: any spread will do, and it repeats.
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                let db = manager.tenant(TENANTS[(task + turn) % 4]).await?;
                let (name, act) = ACTS[(chance >> 33) as usize % ACTS.len()];
                let patience = Duration::from_micros((chance >> 40) % 2_000);
                match timeout(patience, act(db)).await {
                    Ok(Ok(())) => finished.fetch_add(1, Ordering::Relaxed),
                    Ok(Err(error)) => panic!("{name}: {error}"),
                    Err(_) => dropped.fetch_add(1, Ordering::Relaxed),
                };
            }
            Ok::<_, tenantry::Error>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(served) = steady.join_next().await {
        assert!(served?? > 0);
    }
    assert!(finished.load(Ordering::Relaxed) > 0 && dropped.load(Ordering::Relaxed) > 0);
    is_whole(&manager, world).await?;
    let mut admin = world.admin().await;
    manager.close().await;
    eventually("all sessions have ended", async || sessions(&mut admin).await == 0).await;
    Ok(())
}

#[tokio::test]
async fn thousands_of_dropped_requests_leave_no_trace_on_one_thread() -> TestResult {
    storm(&World::with_tenants(&TENANTS).await, 2_000).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn thousands_of_dropped_requests_leave_no_trace_on_several_threads() -> TestResult {
    storm(&World::with_tenants(&TENANTS).await, 2_000).await
}

#[tokio::test]
async fn an_abandoned_statement_is_cancelled_and_its_connection_comes_back() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let mut admin = world.admin().await;
    for budget in [1, 2, 4] {
        let manager = world.builder().max_connections(budget).build()?;
        let db = manager.tenant("acme").await?;
        let pid = pid_of(&db).await?;
        let sleeping = tokio::spawn({
            let db = db.clone();
            async move { sqlx::query("select pg_sleep(60)").execute(&db).await.map(drop) }
        });
        eventually("it runs", async || state_of(&mut admin, pid).await == "active").await;
        sleeping.abort();
        let patience = Duration::from_secs(4);
        eventually_within(patience, "the server has stopped it", async || {
            state_of(&mut admin, pid).await != "active"
        })
        .await;
        eventually_within(patience, "its connection is back", async || {
            manager.snapshot().leased == 0
        })
        .await;
        assert_eq!(name_of(&db).await?, "acme");
        if budget > 1 {
            assert_eq!(state_of(&mut admin, pid).await, "idle", "the session was not saved");
        }
        assert!(sessions(&mut admin).await <= i64::try_from(budget)?);
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_cancelled_wait_gives_its_place_away() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let manager = world.one_session();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let lease = acme.acquire().await?;
    let mut waiting = JoinSet::new();
    for db in [&acme, &globex, &acme, &globex] {
        let db = db.clone();
        waiting.spawn(async move { db.acquire().await.map(drop) });
    }
    eventually("they wait", async || manager.snapshot().waiting == 4).await;
    waiting.shutdown().await;
    assert_eq!(manager.snapshot().waiting, 0);
    drop(lease);
    assert_eq!(name_of(&globex).await?, "globex");
    at_rest(&manager).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_lock_is_not_kept_by_a_request_that_has_gone() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let db = manager.tenant("acme").await?;
    for _ in 0..50 {
        let locking = async {
            let mut tx = db.begin().await?;
            sqlx::query("select * from users for update").execute(&mut *tx).await?;
            std::future::pending::<sqlx::Result<()>>().await
        };
        assert!(timeout(Duration::from_millis(3), locking).await.is_err());
    }
    let update = sqlx::query("update users set name = name").execute(&db);
    timeout(Duration::from_secs(3), update).await??;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_request_that_panics_gives_everything_back() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.one_session();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    for _ in 0..3 {
        let db = acme.clone();
        let request = tokio::spawn(async move {
            let mut tx = db.begin().await?;
            sqlx::query("update users set name = 'wrong'").execute(&mut *tx).await?;
            if name_of(&mut *tx).await? == "wrong" {
                panic!("on purpose");
            }
            Ok::<_, tenantry::Error>(())
        });
        assert!(request.await.expect_err("it panics").is_panic());
        assert_eq!(name_of(&globex).await?, "globex");
        assert_eq!(name_of(&acme).await?, "acme");
    }
    manager.close().await;
    Ok(())
}
