//! Whoever can reach the operating routes can ask as often as they like: tenants do not notice.

use std::{
    future::Future,
    task::Context,
    time::{Duration, Instant},
};

use tenantry::{PoolSnapshot, TenantManager, ops::Ops};

use crate::support::{TestResult, World, at_rest, eventually, name_of, private_server};

fn acquires(pool: &PoolSnapshot) -> u64 {
    let of = pool.acquires;
    of.hit + of.rebind + of.open + of.timeout + of.refused + of.failed
}

/// How many acquires a second of checks, begun and whole, may cost: eight in a row and one more each
/// second, of two acquires each, on two routes.
fn allowed(since: Instant) -> u64 {
    4 * (8 + 1 + since.elapsed().as_secs())
}

#[tokio::test]
async fn who_asks_again_and_again_gets_the_last_answer() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| options.max_connections = 2);
    let ops = Ops::new(manager.clone());
    name_of(&manager.tenant("acme").await?).await?;
    let (began, before) = (Instant::now(), acquires(&manager.snapshot()));
    for _ in 0..500 {
        assert_eq!(ops.readyz().await.status_code(), 200);
        assert_eq!(ops.health().await.status_code(), 200);
    }
    let asked = acquires(&manager.snapshot()) - before;
    assert!(asked <= allowed(began), "{asked} times");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn who_asks_and_leaves_has_no_more_checks_begun() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| options.max_connections = 2);
    let ops = Ops::new(manager.clone());
    name_of(&manager.tenant("acme").await?).await?;
    let (began, before) = (Instant::now(), acquires(&manager.snapshot()));
    for _ in 0..500 {
        let (mut ready, mut health) = (Box::pin(ops.readyz()), Box::pin(ops.health()));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let _ = ready.as_mut().poll(&mut context);
        let _ = health.as_mut().poll(&mut context);
        drop((ready, health));
        tokio::task::yield_now().await;
    }
    at_rest(&manager).await;
    let asked = acquires(&manager.snapshot()) - before;
    assert!(asked <= allowed(began), "{asked} times");
    assert!(asked > 0, "a check that has begun goes on");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_has_changed_is_told_all_the_same() -> TestResult {
    let server = private_server(&["acme"]).await;
    let manager = TenantManager::builder(server.url()).build()?;
    let ops = Ops::new(manager.clone());
    assert_eq!(ops.readyz().await.status_code(), 200);
    server.stop_now().await?;
    assert_eq!(ops.readyz().await.status_code(), 503);
    // All that may be asked for at once is used up here.
    server.start_again().await?;
    let began = Instant::now();
    eventually("it is ready again", async || ops.readyz().await.status_code() == 200).await;
    assert!(began.elapsed() < Duration::from_secs(8), "it took {:?}", began.elapsed());
    for _ in 0..50 {
        assert_eq!(ops.readyz().await.status_code(), 200);
    }
    manager.close().await;
    assert_eq!(ops.readyz().await.status_code(), 503, "closing is told at once");
    assert_eq!(ops.health().await.status_code(), 503);
    Ok(())
}
