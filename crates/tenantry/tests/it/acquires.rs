//! Acquires with a limit of their own, and those that take only what is idle.

use std::time::{Duration, Instant};

use tenantry::{ErrorKind, Event};

use crate::support::{
    Heard, TestResult, World, at_rest, eventually, kind_of, name_of, pid_of, run,
};

#[tokio::test]
async fn an_acquire_waits_as_long_as_its_caller_says() -> TestResult {
    let (world, heard) = (World::with_tenants(&["acme"]).await, Heard::default());
    let builder = world.builder().max_connections(1).acquire_timeout(Duration::from_millis(50));
    let manager = builder.on_event(heard.hook()).build()?;
    let db = manager.tenant("acme").await?;
    let lease = db.acquire_within(Duration::from_secs(10)).await?;
    let patient = tokio::spawn({
        let db = db.clone();
        async move { name_of(&mut *db.acquire_within(Duration::from_secs(60)).await?).await }
    });
    eventually("it waits", async || manager.snapshot().waiting == 1).await;
    let began = Instant::now();
    let error = db.acquire_within(Duration::from_millis(1)).await.expect_err("it is in use");
    assert!(matches!(error, sqlx::Error::PoolTimedOut), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(kind_of(db.acquire().await.expect_err("the same")), ErrorKind::Timeout);
    assert_eq!(
        kind_of(manager.shared().acquire().await.expect_err("the same")),
        ErrorKind::Timeout
    );
    drop(lease);
    assert_eq!(patient.await??, "acme");
    // A connection that is ready is had without any time at all.
    at_rest(&manager).await;
    drop(db.acquire_within(Duration::from_secs(1)).await?);
    drop(manager.shared().acquire_within(Duration::from_secs(1)).await?);
    manager.close().await;
    let told = heard.all().into_iter().find_map(|event| match event {
        Event::AcquireTimeout(of) => Some(of),
        _ => None,
    });
    let told = told.expect("it was told");
    assert_eq!(told.tenant_id.as_ref(), Some(db.tenant().id()));
    assert_eq!(told.waited, Duration::from_millis(1));
    let reason = "1 of 1 connections for tenants are in use, 1 by this tenant (at most 1); 1 other \
                  requests waiting";
    assert!(told.reason.starts_with(reason), "{}", told.reason);
    Ok(())
}

#[tokio::test]
async fn what_is_idle_is_had_at_once_and_nothing_else() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.with_pool(|options| {
        options.max_connections = 2;
        options.max_connections_per_tenant = Some(1);
        options.reserved_connections = Some(0);
    });
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    at_rest(&manager).await;
    let there = manager.snapshot().total;
    if there == 0 {
        assert!(acme.try_acquire().await?.is_none(), "a connection was opened");
        assert_eq!((manager.size(), manager.num_idle()), (0, 0));
    }
    let pid = pid_of(&acme).await?;
    at_rest(&manager).await;

    let mut lease = acme.try_acquire().await?.expect("its connection is idle");
    assert_eq!((name_of(&mut *lease).await?, lease.backend_pid()), ("acme".to_owned(), Some(pid)));
    run(&mut *lease, "set statement_timeout to 12345").await;
    assert!(acme.try_acquire().await?.is_none(), "it may have one");
    assert_eq!(manager.snapshot().waiting, 0);
    assert_eq!(manager.size() as usize, manager.num_idle() + 1);
    drop(lease);
    at_rest(&manager).await;

    // It is bound anew, and nothing is left of the other tenant.
    let idle = manager.num_idle();
    let mut lease = globex.try_acquire().await?.expect("a connection is idle");
    assert_eq!(name_of(&mut *lease).await?, "globex");
    let timeout: String =
        sqlx::query_scalar("show statement_timeout").fetch_one(&mut *lease).await?;
    assert_eq!((timeout.as_str(), manager.num_idle()), ("0", idle - 1));
    drop(lease);
    at_rest(&manager).await;

    drop(manager.shared().try_acquire().await?.expect("a connection is idle"));
    manager.close().await;
    let error = acme.try_acquire().await.expect_err("the manager is closed");
    assert!(matches!(error, sqlx::Error::PoolClosed), "{error:?}");
    assert_eq!((manager.size(), manager.num_idle()), (0, 0));
    Ok(())
}

#[tokio::test]
async fn taking_what_is_idle_replaces_what_is_dead_and_overtakes_nobody() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    let pid = pid_of(&db).await?;
    at_rest(&manager).await;
    crate::support::kill(&mut world.admin().await, pid).await;
    // Whether the pool has heard of it already or finds out now, nobody gets it.
    let mut taken = db.try_acquire().await?;
    if let Some(lease) = &mut taken {
        assert_ne!(lease.backend_pid(), Some(pid));
    }
    drop(taken);
    let held = db.acquire().await?;
    let waiting = tokio::spawn({
        let db = db.clone();
        async move { db.acquire().await.map(drop) }
    });
    eventually("it waits", async || manager.snapshot().waiting == 1).await;
    assert!(db.try_acquire().await?.is_none());
    drop(held);
    waiting.await??;
    manager.close().await;
    Ok(())
}
