//! A tenant that moves is served meanwhile, waits while it changes places, and loses no write.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use tenantry::{
    ErrorKind, Event, HealthOf, HealthOptions, HealthStatus, TenantManager, TenantState,
    clone::CloneOptions, migrate::MigrateOptions, provision::DropOptions,
};
use tokio::{task::JoinSet, time::sleep};

use super::{build, list, listed, move_to, stale, stale_catalog, told};
use crate::{
    migrate::Files,
    support::{Heard, TestResult, World, eventually, kind_of, name_of, observe, pool_options, run},
};

async fn set(world: &World, state: &str) {
    let sql = format!("update tenants set state = '{state}' where id = 'acme'");
    run(&mut world.admin().await, &sql).await;
}

async fn seen_as(manager: &TenantManager, state: TenantState) {
    eventually("the change is heard", async || {
        let acme = manager.tenant("acme").await.expect("it gets a handle");
        acme.tenant().state() == state
    })
    .await;
}

#[tokio::test]
async fn a_moving_tenant_is_served_and_not_changed() -> TestResult {
    let world = list(World::with_managed_tenants(&["acme", "globex"]).await).await;
    let manager = told(&world);
    for state in ["moving", "cutover"] {
        set(&world, state).await;
        let provisioner = manager.provisioner();
        for (what, refused) in [
            ("rename", provisioner.rename("acme", "other").await),
            ("suspend", provisioner.suspend("acme").await),
            ("resume", provisioner.resume("acme").await),
            (
                "clone",
                provisioner.clone_tenant("acme", "copy", CloneOptions::default()).await.map(drop),
            ),
            (
                "drop",
                provisioner.drop_tenant("acme", "acme", DropOptions::default()).await.map(drop),
            ),
        ] {
            let error = refused.expect_err(what);
            assert_eq!(error.kind(), ErrorKind::Busy, "{what}: {error}");
            let text = format!("it is being moved to another place (state {state})");
            assert!(error.to_string().contains(&text), "{what}: {error}");
            assert!(error.retry_after().is_some(), "{what}");
        }
        let files = Files::notes();
        let migrator = manager.migrator().tenants(files.read());
        let report = migrator.migrate(["acme", "globex"], MigrateOptions::default()).await?;
        let failed: Vec<_> = report.tenants.iter().filter(|of| of.error().is_some()).collect();
        assert_eq!(failed.len(), 1, "{report:?}");
        assert_eq!(failed[0].tenant_id.as_deref(), Some("acme"));
        let text = failed[0].error().expect("it has failed").to_string();
        assert!(text.contains("is being moved to another place"), "{text}");
    }
    set(&world, "moving").await;
    seen_as(&manager, TenantState::Moving).await;
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    let missing = "select to_regclass('tenant_acme.notes')";
    assert_eq!(observe(&mut world.admin().await, missing).await, "None");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn requests_wait_for_the_end_of_a_cutover() -> TestResult {
    let world = listed(&["acme"]).await;
    let mut admin = world.admin().await;
    for (manager, hears) in [(told(&world), true), (stale(&world), false)] {
        let warm = manager.tenant("acme").await?;
        name_of(&warm).await?;
        let before =
            observe(&mut admin, "select coalesce(container, 'tenant_acme') from tenants").await;
        let before = before.trim_start_matches("Some(\"").trim_end_matches("\")").to_owned();
        run(
            &mut admin,
            &format!(
                "begin; update tenants set state = 'cutover'; \
             alter schema {before} rename to {before}_fenced; commit"
            ),
        )
        .await;
        if hears {
            seen_as(&manager, TenantState::Cutover).await;
        }
        let held = manager.tenant("acme").await?;
        assert!(held.try_acquire().await?.is_none());
        let began = Instant::now();
        let mut waiting = JoinSet::new();
        for db in [&warm, &held, &held, &warm] {
            let db = db.clone();
            waiting.spawn(async move { name_of(&db).await.map(|name| (name, began.elapsed())) });
        }
        sleep(Duration::from_millis(400)).await;
        assert!(waiting.try_join_next().is_none(), "they wait");
        let after = format!("{before}_n");
        run(
            &mut admin,
            &format!(
                "begin; alter schema {before}_fenced rename to {after}; \
             update tenants set container = '{after}', epoch = epoch + 1, state = 'active'; commit"
            ),
        )
        .await;
        while let Some(name) = waiting.join_next().await {
            let (name, took) = name??;
            assert_eq!(name, "acme");
            assert!(took < Duration::from_millis(900), "{took:?}");
        }
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_cutover_that_is_given_up_leaves_handles_usable() -> TestResult {
    let world = listed(&["acme"]).await;
    let mut admin = world.admin().await;
    for manager in [told(&world), stale(&world)] {
        let warm = manager.tenant("acme").await?;
        name_of(&warm).await?;
        run(
            &mut admin,
            "begin; update tenants set state = 'cutover'; \
             alter schema tenant_acme rename to fenced; commit",
        )
        .await;
        let waiting = tokio::spawn({
            let warm = warm.clone();
            async move { name_of(&warm).await }
        });
        sleep(Duration::from_millis(200)).await;
        run(
            &mut admin,
            "begin; update tenants set state = 'active'; \
             alter schema fenced rename to tenant_acme; commit",
        )
        .await;
        assert_eq!(waiting.await??, "acme");
        assert_eq!(name_of(&warm).await?, "acme");
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_cutover_that_takes_too_long_is_told() -> TestResult {
    let world = listed(&["acme", "globex"]).await;
    set(&world, "cutover").await;
    let events = Heard::default();
    let options = pool_options(|options| options.acquire_timeout = Duration::from_millis(300));
    let builder = world.builder().catalog(stale_catalog()).pool_options(options);
    let manager = builder.on_event(events.hook()).build()?;
    let acme = manager.tenant("acme").await?;
    let began = Instant::now();
    let error = tenantry::Error::from(acme.acquire().await.map(drop).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.retry_after().is_some() && error.is_transient());
    let took = began.elapsed();
    assert!((Duration::from_millis(290)..Duration::from_secs(2)).contains(&took), "{took:?}");
    eventually("it is told", async || {
        events.all().into_iter().any(|event| match event {
            Event::AcquireTimeout(late) => {
                late.reason.contains("is being moved to another place")
                    && late.tenant_id.is_some_and(|id| id.as_str() == "acme")
            }
            _ => false,
        })
    })
    .await;
    assert_eq!(kind_of(acme.begin().await.map(drop).unwrap_err()), ErrorKind::Timeout);
    let these = HealthOf::These(vec!["acme".parse()?]);
    let health = manager.health(HealthOptions::default().tenants(these)).await;
    assert_eq!(health.pools[0].status, HealthStatus::Degraded);
    assert_eq!(health.pools[0].reason, Some("it is being moved to another place"));
    assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex");
    manager.close().await;
    Ok(())
}

/// Writes rows with new ids until told to stop, and returns how many were acknowledged.
async fn write(manager: TenantManager, next: Arc<AtomicI32>, stop: Arc<AtomicBool>) -> usize {
    let held = manager.tenant("acme").await.expect("it is served");
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let id = next.fetch_add(1, Ordering::Relaxed);
        let db = match id % 2 {
            0 => held.clone(),
            _ => manager.tenant("acme").await.expect("it is served"),
        };
        let insert = sqlx::query("insert into users values ($1, 'x')").bind(id);
        let done = insert.execute(&db).await.unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(done.rows_affected(), 1);
        written += 1;
    }
    written
}

#[tokio::test]
async fn no_write_is_lost_or_refused_while_a_tenant_moves_under_load() -> TestResult {
    let world = listed(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    let managers = [told(&world), stale(&world), build(world.builder().catalog(stale_catalog()))];
    let (next, stop) = (Arc::new(AtomicI32::new(100)), Arc::new(AtomicBool::new(false)));
    let mut writers = JoinSet::new();
    for task in 0..9 {
        let manager = managers[task % 3].clone();
        writers.spawn(write(manager, Arc::clone(&next), Arc::clone(&stop)));
    }
    let mut from = "tenant_acme".to_owned();
    for to in ["m1", "m2", "m3", "m4"] {
        set(&world, "moving").await;
        sleep(Duration::from_millis(150)).await;
        if to != "m3" {
            set(&world, "cutover").await;
            sleep(Duration::from_millis(60)).await;
        }
        move_to(&mut admin, "acme", &from, to).await;
        from = to.to_owned();
    }
    sleep(Duration::from_millis(200)).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = 0;
    while let Some(written) = writers.join_next().await {
        acknowledged += written?;
    }
    let there = observe(&mut admin, "select count(*) from m4.users where id >= 100").await;
    assert_eq!(there, format!("Some(\"{acknowledged}\")"));
    assert!(acknowledged > 50, "{acknowledged}");
    assert_eq!(
        observe(&mut admin, "select count(*) from tenant_globex.users").await,
        "Some(\"1\")"
    );
    for manager in managers {
        manager.close().await;
    }
    Ok(())
}
