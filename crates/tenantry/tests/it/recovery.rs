//! Connections that die are replaced, and nobody who comes later notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tenantry::{Error, ErrorKind, TenantManager};
use tokio::task::JoinSet;

use crate::support::{
    TestResult, World, at_rest, connect, eventually_within, kill, kind_of, name_of, pid_of,
    pool_options, private_server, sessions,
};

/// Takes this many connections at once and gives them back.
async fn warm(manager: &TenantManager, many: usize) -> Result<Vec<i32>, tenantry::Error> {
    let db = manager.tenant("acme").await?;
    let mut leases = Vec::new();
    for _ in 0..many {
        leases.push(db.acquire().await?);
    }
    let pids = leases.iter().filter_map(tenantry::Lease::backend_pid).collect();
    drop(leases);
    at_rest(manager).await;
    Ok(pids)
}

#[tokio::test]
async fn a_killed_connection_is_replaced_before_it_is_used() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    for after in [Duration::ZERO, Duration::from_secs(1)] {
        let manager = world.with_pool(|options| {
            options.max_connections = 3;
            options.max_connections_per_tenant = Some(3);
            options.liveness_check_after = after;
        });
        for id in ["acme", "globex"] {
            let db = manager.tenant(id).await?;
            for pid in warm(&manager, 3).await? {
                kill(&mut admin, pid).await;
            }
            // This is the promise's own time, not a wait for something to happen.
            tokio::time::sleep(after).await;
            let mut tasks = JoinSet::new();
            for _ in 0..3 {
                let db = db.clone();
                tasks.spawn(async move { name_of(&db).await });
            }
            while let Some(name) = tasks.join_next().await {
                assert_eq!(name??, id);
            }
            let mut tx = db.begin().await?;
            assert_eq!(name_of(&mut *tx).await?, id);
            tx.rollback().await?;
        }
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_rebind_finds_out_that_the_connection_is_dead() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.one_session();
    let acme = manager.tenant("acme").await?;
    let globex = manager.tenant("globex").await?;
    for _ in 0..3 {
        let pid = pid_of(&acme).await?;
        kill(&mut world.admin().await, pid).await;
        assert_eq!(name_of(&globex).await?, "globex");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn one_dead_connection_found_makes_the_pool_ask_all_others_first() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| {
        options.max_connections = 3;
        options.max_connections_per_tenant = Some(3);
        options.liveness_check_after = Duration::from_secs(3600);
    });
    let db = manager.tenant("acme").await?;
    for way in ["query", "begin", "lease"] {
        for pid in warm(&manager, 3).await? {
            kill(&mut world.admin().await, pid).await;
        }
        let mut failures = 0;
        for _ in 0..6 {
            let ok = match way {
                "query" => name_of(&db).await.is_ok(),
                "begin" => match db.begin().await {
                    Ok(tx) => tx.rollback().await.is_ok(),
                    Err(error) => {
                        assert_eq!(kind_of(error), ErrorKind::Unavailable);
                        false
                    }
                },
                _ => name_of(&mut *db.acquire().await?).await.is_ok(),
            };
            failures += usize::from(!ok);
            at_rest(&manager).await;
        }
        assert!(failures <= 1, "{failures} failures ({way})");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_statement_whose_connection_breaks_fails_as_unavailable() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    let pid = pid_of(&db).await?;
    let sleeping = tokio::spawn({
        let db = db.clone();
        async move { sqlx::query("select pg_sleep(60)").execute(&db).await }
    });
    let mut admin = world.admin().await;
    crate::support::eventually("it runs", async || {
        crate::support::state_of(&mut admin, pid).await == "active"
    })
    .await;
    kill(&mut admin, pid).await;
    let error = sleeping.await?.expect_err("its backend was killed");
    assert_eq!(kind_of(error), ErrorKind::Unavailable);
    assert_eq!(name_of(&db).await?, "acme");
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_fails_some_requests_cleanly_and_is_got_over() -> TestResult {
    const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
    let server = private_server(&TENANTS).await;
    let manager = TenantManager::builder(server.url())
        .pool_options(pool_options(|options| options.max_connections = 6))
        .build()?;
    for id in TENANTS {
        manager.tenant(id).await?;
    }
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for task in 0..12 {
        let (manager, stop, served) = (manager.clone(), Arc::clone(&stop), Arc::clone(&served));
        tasks.spawn(async move {
            let id = TENANTS[task % 3];
            let mut kinds = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let outcome = match manager.tenant(id).await {
                    Ok(db) if task % 2 == 0 => name_of(&db).await.map_err(tenantry::Error::from),
                    Ok(db) => {
                        async {
                            let mut tx = db.begin().await?;
                            let name = name_of(&mut *tx).await?;
                            tx.commit().await?;
                            Ok::<_, tenantry::Error>(name)
                        }
                        .await
                    }
                    Err(error) => Err(error),
                };
                match outcome {
                    Ok(name) => {
                        assert_eq!(name, id);
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => {
                        kinds.push(error.kind());
                        tokio::task::yield_now().await;
                    }
                }
            }
            kinds
        });
    }
    let more = async |count: usize| {
        let goal = served.load(Ordering::Relaxed) + count;
        eventually_within(Duration::from_secs(20), "requests are served", async || {
            served.load(Ordering::Relaxed) >= goal
        })
        .await;
    };
    more(50).await;
    server.restart().await?;
    more(50).await;
    server.stop_now().await?;
    server.start_again().await?;
    more(50).await;
    let mut admin = connect(&server.url()).await;
    assert!(sessions(&mut admin).await <= 6);
    stop.store(true, Ordering::Relaxed);
    for kinds in tasks.join_all().await {
        let odd: Vec<_> = kinds
            .into_iter()
            .filter(|kind| !matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout))
            .collect();
        assert!(odd.is_empty(), "{odd:?}");
    }
    manager.close().await;
    crate::support::eventually("all sessions end", async || sessions(&mut admin).await == 0).await;
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_quickly() -> TestResult {
    let server = private_server(&["acme"]).await;
    let url = server.url();
    let manager = TenantManager::builder(&url).build()?;
    let db = manager.tenant("acme").await?;
    server.stop_now().await?;
    let began = Instant::now();
    for _ in 0..3 {
        let error = db.acquire().await.err();
        // The one idle connection may be handed out as it is.
        assert!(error.is_none_or(|error| kind_of(error) == ErrorKind::Unavailable));
    }
    let error = Error::from(db.acquire().await.expect_err("the server is down"));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_transient());
    assert_eq!(
        kind_of(name_of(&db).await.expect_err("the server is down")),
        ErrorKind::Unavailable
    );
    let error = manager.tenant("globex").await.expect_err("the catalog cannot be read");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    server.start_again().await?;
    assert_eq!(name_of(&db.ready().await?).await?, "acme");
    manager.close().await;
    Ok(())
}
