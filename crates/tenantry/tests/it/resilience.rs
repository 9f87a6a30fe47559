//! Whatever happens to the server or the network, requests end, work is not lost, and it goes on by
//! itself.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use tenantry::{
    BreakerState, Error, ErrorClass, ErrorKind, Event, ManagerBuilder, TenantManager,
    retry::{RetryPolicy, retry},
};
use tenantry_devdb::DevServer;
use tokio::task::JoinSet;

use crate::{
    counting::{AT_MOST, Counting},
    faults::{Frozen, Mode, Proxy},
    support::{
        Heard, TestResult, World, at_rest, connect, eventually, eventually_within, kind_of,
        name_of, pool_options, private_server, run, sessions, state_of,
    },
};

const MS: Duration = Duration::from_millis(1);

/// Pools of six connections whose requests end within some seconds.
fn builder(url: &str) -> ManagerBuilder {
    TenantManager::builder(url).pool_options(pool_options(|options| {
        options.max_connections = 6;
        options.acquire_timeout = MS * 2_000;
        options.connect_timeout = MS * 1_000;
        options.statement_timeout = Some(MS * 1_000);
        options.cleanup_timeout = MS * 1_000;
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_is_lost_or_made_twice_while_the_server_restarts() -> TestResult {
    let server = private_server(&["acme"]).await;
    Counting::prepare(&mut connect(&server.url()).await).await;
    let manager = builder(&server.url()).build()?;
    let counting = Counting::start(&manager, 12);
    counting.more(50).await;
    server.restart().await?;
    counting.more(50).await;
    server.stop_now().await?;
    eventually("the breaker is open", async || manager.snapshot().breaker != BreakerState::Closed)
        .await;
    server.start_again().await?;
    counting.more(50).await;
    assert_eq!(manager.snapshot().breaker, BreakerState::Closed);
    let mut admin = connect(&server.url()).await;
    assert!(sessions(&mut admin).await <= 6);
    counting.end(&mut admin).await?;
    manager.close().await;
    eventually("all sessions end", async || sessions(&mut admin).await == 0).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_is_lost_or_made_twice_behind_a_bad_network() -> TestResult {
    let server = private_server(&["acme"]).await;
    let mut admin = connect(&server.url()).await;
    Counting::prepare(&mut admin).await;
    let proxy = Proxy::before(server.port()).await;
    let manager = builder(&proxy.url()).build()?;
    let counting = Counting::start(&manager, 12);
    counting.more(50).await;
    for fault in [Mode::Cut, Mode::Delay(MS * 20), Mode::BlackHole, Mode::CutAtFirstWord] {
        proxy.set(fault);
        let through = matches!(fault, Mode::Delay(_));
        if through {
            counting.more(20).await;
        } else if fault == Mode::BlackHole {
            // Long enough that statements run into their limit.
            eventually_within(AT_MOST, "requests give up", async || {
                manager.snapshot().acquires.timeout + manager.snapshot().acquires.refused > 3
            })
            .await;
        }
        proxy.set(Mode::Cut);
        proxy.set(Mode::Pass);
        counting.more(30).await;
    }
    counting.end(&mut admin).await?;
    manager.close().await;
    eventually("all sessions end", async || sessions(&mut admin).await == 0).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_makes_requests_fail_in_time_and_a_thawed_one_serves_again() -> TestResult {
    let server = private_server(&["acme"]).await;
    Counting::prepare(&mut connect(&server.url()).await).await;
    let manager = builder(&server.url()).build()?;
    let counting = Counting::start(&manager, 12);
    counting.more(50).await;
    let frozen = Frozen::freeze(&server);
    let before = manager.snapshot().acquires;
    eventually_within(AT_MOST, "requests give up", async || {
        let now = manager.snapshot().acquires;
        now.timeout + now.refused > before.timeout + before.refused + 12
    })
    .await;
    drop(frozen);
    counting.more(50).await;
    let mut admin = connect(&server.url()).await;
    counting.end(&mut admin).await?;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn who_waits_for_a_connection_that_breaks_gets_the_error() -> TestResult {
    let server = private_server(&["acme"]).await;
    let manager = builder(&server.url()).retry(RetryPolicy::never()).build()?;
    let db = manager.tenant("acme").await?;
    let held = db.acquire().await?;
    server.stop_now().await?;
    let waits = tokio::spawn({
        let db = db.clone();
        async move { db.acquire().await.map(drop) }
    });
    eventually("it waits", async || manager.snapshot().waiting == 1).await;
    drop(held);
    let error = waits.await?.expect_err("the server is down");
    assert_eq!(kind_of(error), ErrorKind::Unavailable);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_is_found_when_it_comes() -> TestResult {
    let server = private_server(&["acme"]).await;
    server.stop_now().await?;
    let heard = Heard::default();
    let manager = builder(&server.url()).on_event(heard.hook()).build()?;
    let began = Instant::now();
    let mut refused = None;
    while refused.is_none() {
        assert!(began.elapsed() < AT_MOST, "the breaker never trips");
        let error = manager.tenant("acme").await.expect_err("the server is down");
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unavailable, true));
        refused = error.retry_after();
    }
    assert!(refused.is_some_and(|wait| wait <= MS * 500), "{refused:?}");
    server.start_again().await?;
    // The next probe is at most half a second away.
    eventually("the breaker is closed", async || {
        manager.snapshot().breaker == BreakerState::Closed
    })
    .await;
    let db = manager.tenant("acme").await?.ready().await?;
    assert_eq!(name_of(&db).await?, "acme");
    manager.close().await;
    let states: Vec<_> = heard.all().iter().filter_map(breaker_of).collect();
    assert_eq!(states.first(), Some(&BreakerState::Open));
    assert_eq!(states.last(), Some(&BreakerState::Closed));
    assert!(states.contains(&BreakerState::HalfOpen));
    Ok(())
}

fn breaker_of(event: &Event) -> Option<BreakerState> {
    if let Event::Breaker(change) = event { Some(change.state) } else { None }
}

#[tokio::test]
async fn an_open_breaker_refuses_at_once_and_those_who_wait_as_well() -> TestResult {
    let server = private_server(&["acme"]).await;
    let manager = builder(&server.url()).build()?;
    let db = manager.tenant("acme").await?;
    manager.evict(db.tenant().id());
    server.stop_now().await?;
    let mut waiting = JoinSet::new();
    for _ in 0..40 {
        let db = db.clone();
        waiting.spawn(async move { db.acquire().await.map(drop) });
    }
    for outcome in waiting.join_all().await {
        if let Err(error) = outcome {
            assert_eq!(kind_of(error), ErrorKind::Unavailable);
        }
    }
    eventually("the breaker is open", async || {
        drop(db.acquire().await);
        manager.snapshot().breaker == BreakerState::Open
    })
    .await;
    let began = Instant::now();
    for _ in 0..1_000 {
        let error = Error::from(db.acquire().await.expect_err("the server is down"));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_after().is_some() && error.is_transient());
    }
    assert!(began.elapsed() < AT_MOST, "a thousand refusals took {:?}", began.elapsed());
    let began = Instant::now();
    manager.close().await;
    assert!(began.elapsed() < AT_MOST, "closing waits for the server");
    assert_eq!(db.acquire().await.err().map(kind_of), Some(ErrorKind::Closed));
    Ok(())
}

#[tokio::test]
async fn a_short_outage_is_waited_out() -> TestResult {
    let server = private_server(&["acme"]).await;
    let proxy = Proxy::before(server.port()).await;
    let heard = Heard::default();
    let policy = RetryPolicy::default().initial_delay(MS * 50).jitter(0.0).max_attempts(4);
    let manager = builder(&proxy.url()).retry(policy).on_event(heard.hook()).build()?;
    proxy.set(Mode::Cut);
    let asking = tokio::spawn({
        let manager = manager.clone();
        async move { name_of(&manager.tenant("acme").await?).await }
    });
    eventually("it is tried again", async || heard.retries().len() == 2).await;
    proxy.set(Mode::Pass);
    assert_eq!(asking.await??, "acme");
    manager.close().await;
    let retries = heard.retries();
    let steps: Vec<_> = retries.iter().map(|of| (of.attempt, of.max_attempts, of.delay)).collect();
    assert_eq!(steps[..2], [(1, 4, MS * 50), (2, 4, MS * 100)]);
    assert!(retries.iter().all(|of| of.class == ErrorClass::Connection), "{retries:?}");
    Ok(())
}

#[tokio::test]
async fn a_tls_handshake_that_is_cut_is_tried_again() -> TestResult {
    let server = private_server(&["acme"]).await;
    let proxy = Proxy::before(server.port()).await;
    proxy.set(Mode::CutAtFirstWord);
    let heard = Heard::default();
    let url = format!("{}?sslmode=require", proxy.url());
    let manager = builder(&url).on_event(heard.hook()).build()?;
    let error = Error::from(manager.shared().acquire().await.expect_err("the handshake is cut"));
    assert_eq!((error.kind(), error.class()), (ErrorKind::Unavailable, ErrorClass::Connection));
    manager.close().await;
    assert_eq!(heard.retries().len(), 2, "three attempts");
    Ok(())
}

#[tokio::test]
async fn what_will_not_change_is_tried_once() -> TestResult {
    let server = private_server(&["acme"]).await;
    let mut admin = connect(&server.url()).await;
    run(&mut admin, "create role app login password 'secret'").await;
    let hba = server.data_dir().join("pg_hba.conf");
    let rules = "host all app 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
    std::fs::write(hba, rules)?;
    server.restart().await?;
    let at = |user: &str, database: &str| {
        format!("postgres://{user}@127.0.0.1:{}/{database}", server.port())
    };
    for (url, class) in [
        (at("app:wrong", "postgres"), ErrorClass::Authentication),
        (at("nobody_at_all", "postgres"), ErrorClass::Authentication),
        (at("postgres", "no_such_database"), ErrorClass::Other),
        // This server has no TLS.
        (at("postgres", "postgres?sslmode=require"), ErrorClass::Tls),
    ] {
        let heard = Heard::default();
        let manager = builder(&url).on_event(heard.hook()).build()?;
        let error = manager.tenant("acme").await.expect_err("it cannot connect");
        assert_eq!((error.kind(), error.class()), (ErrorKind::Unavailable, class), "{error:?}");
        assert!(!error.is_transient(), "{error:?}");
        assert!(manager.shared().ready().await.is_err());
        manager.close().await;
        assert_eq!(heard.retries().len(), 0, "{class:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_statement_that_fails_is_never_sent_twice() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    run(
        &mut world.admin().await,
        "create sequence tenant_acme.calls; \
         create function tenant_acme.fail(code text) returns void language plpgsql as $$ \
         begin perform nextval('tenant_acme.calls'); raise 'failed' using errcode = code; end $$",
    )
    .await;
    let manager = world.manager();
    let db = manager.tenant("acme").await?;
    let codes = ["42601", "42501", "28000", "22001", "23505", "40001", "53300", "57P03", "08006"];
    for code in codes {
        let failed = sqlx::query("select fail($1)").bind(code).execute(&db).await;
        let error = failed.expect_err("it fails");
        assert_eq!(crate::support::code_of(&error), format!("error {code}"));
    }
    let calls: i64 = sqlx::query_scalar("select last_value from calls").fetch_one(&db).await?;
    assert_eq!(usize::try_from(calls)?, codes.len());
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_room_serves_with_the_connections_that_there_are() -> TestResult {
    // Three of these are for superusers, and one is ours to look on.
    let server = DevServer::builder().setting("max_connections", "8").start().await?;
    let mut admin = connect(&server.url()).await;
    crate::support::create_tenant(&mut admin, "acme").await;
    run(&mut admin, "create role app login; grant usage on schema tenant_acme to app").await;
    run(&mut admin, "grant select on tenant_acme.users to app").await;
    let url = format!("postgres://app@127.0.0.1:{}/postgres", server.port());
    let heard = Heard::default();
    let options = pool_options(|options| options.max_connections = 20);
    let manager =
        TenantManager::builder(&url).pool_options(options).on_event(heard.hook()).build()?;
    let db = manager.tenant("acme").await?;
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let db = db.clone();
        tasks.spawn(async move {
            for _ in 0..20 {
                sqlx::query("select pg_sleep(0.005)").execute(&db).await?;
            }
            Ok::<_, sqlx::Error>(())
        });
    }
    for outcome in tasks.join_all().await {
        outcome?;
    }
    assert_eq!(manager.snapshot().breaker, BreakerState::Closed);
    manager.close().await;
    let full = |event: &&Event| matches!(event, Event::PoolError(of) if of.class == ErrorClass::TooManyConnections);
    assert!(heard.all().iter().filter(full).count() > 0, "the server was never full");
    Ok(())
}

#[tokio::test]
async fn a_read_only_server_is_told_as_it_is() -> TestResult {
    let server = private_server(&["acme"]).await;
    let mut admin = connect(&server.url()).await;
    run(&mut admin, "alter system set default_transaction_read_only = on").await;
    server.restart().await?;
    let heard = Heard::default();
    let manager = builder(&server.url()).on_event(heard.hook()).build()?;
    let db = manager.tenant("acme").await?;
    assert_eq!(name_of(&db).await?, "acme");
    let failed = sqlx::query("update users set name = 'x'").execute(&db).await;
    let error = tenantry::Error::from(failed.expect_err("it is read-only"));
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::ReadOnly, false));
    assert_eq!(name_of(&db).await?, "acme");
    assert!(manager.health(Default::default()).await.healthy);
    manager.close().await;
    assert_eq!(heard.retries().len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_given_up_and_cancelled() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| {
        options.max_connections = 4;
        options.statement_timeout = Some(MS * 100);
    });
    let db = manager.tenant("acme").await?;
    let (one, other) = (db.acquire().await?, db.acquire().await?);
    let pids = [one.backend_pid(), other.backend_pid()];
    drop((one, other));
    let mut admin = world.admin().await;
    let began = Instant::now();
    let slow = sqlx::query("select pg_sleep(60)").execute(&db).await;
    let error = tenantry::Error::from(slow.expect_err("it takes too long"));
    assert_eq!(
        (error.kind(), error.class(), error.is_transient()),
        (ErrorKind::StatementTimeout, ErrorClass::Cancelled, false)
    );
    let row: Result<Vec<i32>, _> =
        sqlx::query_scalar("select 1 from pg_sleep(60)").fetch_all(&db).await;
    assert!(row.is_err());
    let rows = sqlx::query_scalar::<_, i32>(
        "select n from generate_series(1, 3) n where n < 3 or pg_sleep(60) is null",
    );
    assert!(rows.fetch(&db).try_collect::<Vec<_>>().await.is_err());
    assert!(began.elapsed() < AT_MOST);
    eventually("it is cancelled", async || {
        let running: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity \
             where state = 'active' and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()",
        )
        .fetch_one(&mut admin)
        .await
        .expect("the server is running");
        running == 0
    })
    .await;
    assert_eq!(name_of(&db).await?, "acme");
    // What is cancelled is no reason to open another connection.
    at_rest(&manager).await;
    for pid in pids {
        let state = state_of(&mut admin, pid.expect("it is bound")).await;
        assert_eq!(state, "idle", "the session was not saved");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_are_given_up_keep_their_place_in_the_budget() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| {
        options.max_connections = 2;
        options.statement_timeout = Some(MS * 50);
    });
    let db = manager.tenant("acme").await?;
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        let db = db.clone();
        tasks.spawn(async move {
            for _ in 0..3 {
                drop(sqlx::query("select pg_sleep(5)").execute(&db).await);
            }
        });
    }
    let (mut admin, mut most) = (world.admin().await, 0);
    while !tasks.is_empty() {
        most = most.max(sessions(&mut admin).await);
        drop(tokio::time::timeout(MS * 5, tasks.join_next()).await);
    }
    assert!(most <= 2, "{most} sessions with a budget of 2");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_statement_that_was_given_up_is_not_tried_again() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| options.statement_timeout = Some(MS * 50));
    let db = manager.tenant("acme").await?;
    let mut attempts = 0;
    let outcome = retry(&RetryPolicy::default(), || {
        attempts += 1;
        sqlx::query("insert into users select 2, 'twice' from pg_sleep(0.3)").execute(&db)
    })
    .await;
    assert!(outcome.is_err());
    assert_eq!(attempts, 1);
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_serve_go_on_when_no_other_can_be_opened() -> TestResult {
    let server = private_server(&["acme"]).await;
    let proxy = Proxy::before(server.port()).await;
    let manager = TenantManager::builder(proxy.url())
        .pool_options(pool_options(|options| options.max_connections = 10))
        .build()?;
    let db = manager.tenant("acme").await?;
    let (one, two) = (db.acquire().await?, db.acquire().await?);
    drop((one, two));
    at_rest(&manager).await;
    proxy.set(Mode::CutNew);
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let db = db.clone();
        tasks.spawn(async move {
            for _ in 0..5 {
                sqlx::query("select pg_sleep(0.02)").execute(&db).await?;
            }
            Ok::<_, sqlx::Error>(())
        });
    }
    for outcome in tasks.join_all().await {
        outcome?;
    }
    assert_eq!(manager.snapshot().breaker, BreakerState::Closed);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_lease_that_did_nothing_is_no_sign_of_life() -> TestResult {
    let server = private_server(&["acme"]).await;
    let proxy = Proxy::before(server.port()).await;
    let manager = builder(&proxy.url()).build()?;
    let db = manager.tenant("acme").await?;
    let unused = db.acquire().await?;
    // The catalog's connection is another one.
    proxy.set(Mode::CutNew);
    server.stop_now().await?;
    eventually_within(AT_MOST, "the breaker is open", async || {
        drop(db.acquire().await);
        manager.snapshot().breaker == BreakerState::Open
    })
    .await;
    drop(unused);
    assert_ne!(manager.snapshot().breaker, BreakerState::Closed);
    server.start_again().await?;
    proxy.set(Mode::Pass);
    eventually_within(AT_MOST, "it is served again", async || name_of(&db).await.is_ok()).await;
    manager.close().await;
    Ok(())
}
