//! What happens is told once, to everybody who wants to know, and telling it disturbs nobody.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use crate::{
    log::{Format, logged},
    support::{
        Heard, TestResult, World, at_rest, eventually, kill, kind_of, name_of, pid_of,
        pool_options, run,
    },
};
use tenantry::{
    ErrorClass, Event, EventOptions, EvictReason, MetricsOptions, TenantManager,
    event::{PoolCreated, PoolError, PoolEvicted, Retry},
};

const MS: Duration = Duration::from_millis(1);

fn events() -> EventOptions {
    EventOptions::default()
}

fn slow_from_50_ms() -> EventOptions {
    events().slow_query_threshold(MS * 50)
}

/// The text with every duration replaced.
fn without_durations(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n']).map(|word| {
        let end = if word.ends_with('\n') { "\n" } else { " " };
        match word.trim_end().split_once('=') {
            Some((name, value)) if value.ends_with("ms") => format!("{name}=?ms{end}"),
            _ => word.to_owned(),
        }
    });
    words.collect()
}

#[tokio::test]
async fn a_hook_hears_of_everything_once() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let heard = Heard::default();
    let manager = world
        .builder()
        .pool_options(pool_options(|options| {
            options.max_connections = 1;
            options.acquire_timeout = MS * 100;
        }))
        .events(slow_from_50_ms())
        .on_event(heard.hook())
        .build()?;
    let acme = manager.tenant("acme").await?;
    let globex = manager.tenant("globex").await?;
    sqlx::query("update users set\n\tname = $1").bind("a secret value").execute(&acme).await?;
    let rows = sqlx::query("select 1 from generate_series(1, 7)").fetch_all(&globex).await?;
    assert_eq!(rows.len(), 7);
    sqlx::query("select pg_sleep(0.06)").execute(&globex).await?;
    assert!(sqlx::query("select 1/0").execute(&globex).await.is_err());
    let lease = acme.acquire().await?;
    let waits = globex.clone();
    let waited = tokio::spawn(async move { waits.acquire().await.map(drop) }).await?;
    waited.expect_err("it waits in vain");
    drop(lease);
    let mut tx = acme.begin().await?;
    sqlx::query("select pg_sleep(0.06)").execute(&mut *tx).await?;
    tx.commit().await?;
    at_rest(&manager).await;
    manager.evict(acme.tenant().id());
    manager.close().await;
    let told: Vec<_> = heard
        .all()
        .iter()
        .map(|event| without_durations(&format!("{event}\n")).trim_end().to_owned())
        .filter(|line| line.contains("tenant="))
        .collect();
    for expected in [
        "tenant=acme POOL_CREATED schema=tenant_acme",
        "tenant=acme REBIND schema=tenant_acme duration=?ms",
        "tenant=acme query=\"update users set name = $1\" duration=?ms rows=1",
        "tenant=globex POOL_CREATED schema=tenant_globex",
        "tenant=globex query=\"select 1 from generate_series(1, 7)\" duration=?ms rows=7",
        "tenant=globex SLOW_QUERY duration=?ms query=\"select pg_sleep(0.06)\" rows=1",
        "tenant=globex query=\"select 1/0\" duration=?ms rows=0 failed=data",
        "tenant=globex ACQUIRE_TIMEOUT waited=?ms reason=\"1 of 1 connections for tenants are in use, 0 by \
         this tenant (at most 1)\"",
        "tenant=acme POOL_EVICTED schema=tenant_acme reason=requested",
        "tenant=globex POOL_EVICTED schema=tenant_globex reason=closed",
    ] {
        let times = told.iter().filter(|line| *line == expected).count();
        let more = expected.contains("REBIND");
        assert!(times == 1 || (more && times > 1), "{expected}: {times} times in {told:#?}");
    }
    assert!(told.iter().any(|line| line.starts_with("tenant=acme LONG_LEASE duration=?ms")));
    assert!(!format!("{:?}", heard.all()).contains("a secret value"));
    for event in heard.all() {
        let json = serde_json::to_value(&event)?;
        assert!(json["type"].is_string(), "{json}");
        if let Event::Query(query) | Event::SlowQuery(query) = &event {
            assert_eq!(json["query"], query.statement);
            assert!(json["durationMs"].is_number());
            assert_eq!(json["schemaName"], *query.schema);
            assert_eq!(json["tenantId"].as_str(), event.tenant());
        }
    }
    Ok(())
}

#[tokio::test]
async fn hooks_of_one_kind_hear_of_that_kind_whether_they_block_or_not() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let (created, evicted, lost) = (Arc::clone(&log), Arc::clone(&log), Arc::clone(&log));
    let manager = world
        .builder()
        .on_pool_created(move |of: PoolCreated| {
            created.lock().unwrap().push(format!("created {}", of.tenant_id));
        })
        .on_pool_evicted(move |of: PoolEvicted| {
            let evicted = Arc::clone(&evicted);
            async move {
                tokio::task::yield_now().await;
                let line = format!("evicted {} {}", of.tenant_id, of.reason.as_str());
                evicted.lock().unwrap().push(line);
            }
        })
        .on_error(move |of: PoolError| -> Result<(), String> {
            let tenant = of.tenant_id.as_ref().map(ToString::to_string);
            lost.lock().unwrap().push(format!("error {tenant:?} {}", of.class.as_str()));
            Ok(())
        })
        .on_retry(|_: Retry| async { Err::<(), _>("nothing is retried here") })
        .build()?;
    let db = manager.tenant("acme").await?;
    let pid = pid_of(&db).await?;
    let sleeping = tokio::spawn({
        let db = db.clone();
        async move { sqlx::query("select pg_sleep(60)").execute(&db).await }
    });
    let mut admin = world.admin().await;
    eventually("it runs", async || crate::support::state_of(&mut admin, pid).await == "active")
        .await;
    kill(&mut admin, pid).await;
    assert!(sleeping.await?.is_err());
    manager.evict(db.tenant().id());
    manager.close().await;
    let log = log.lock().unwrap().clone();
    for line in ["created acme", "evicted acme requested", "error Some(\"acme\") shutdown"] {
        assert_eq!(log.iter().filter(|other| *other == line).count(), 1, "{line} in {log:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_hook_that_fails_or_panics_changes_nothing_else() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let heard = Heard::default();
    let manager = world
        .builder()
        .on_event(|event: Event| -> () { panic!("{event}") })
        .on_event(|_: Event| Err::<(), _>("an error"))
        .on_event(|event: Event| -> std::future::Ready<()> { panic!("{event}") })
        .on_event(async |event: Event| -> Result<(), String> { panic!("{event}") })
        .on_event(heard.hook())
        .build()?;
    let registry = prometheus::Registry::new();
    registry.register(Box::new(manager.collector(MetricsOptions::default())))?;
    let db = manager.tenant("acme").await?;
    for _ in 0..10 {
        assert_eq!(name_of(&db).await?, "acme");
    }
    at_rest(&manager).await;
    eventually("everybody has heard of everything", async || {
        let all = heard.all().len();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather());
        let text = text.expect("it can be written");
        let failures = format!("tenantry_hook_failures_total {}\n", 4 * all);
        all >= 11 && text.contains(&failures)
    })
    .await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_logger_that_blocks_holds_nobody_up() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let heard = Heard::default();
    let manager = world
        .builder()
        .pool_options(pool_options(|options| options.cleanup_timeout = MS * 300))
        .events(events().queue(20))
        .on_event({
            let gate = Arc::clone(&gate);
            move |_: Event| {
                let (open, opened) = &*gate;
                let guard = open.lock().unwrap();
                drop(opened.wait_while(guard, |open| !*open).unwrap());
            }
        })
        .on_event(heard.hook())
        .build()?;
    let registry = prometheus::Registry::new();
    registry.register(Box::new(manager.collector(MetricsOptions::default())))?;
    let db = manager.tenant("acme").await?;
    for _ in 0..200 {
        assert_eq!(name_of(&db).await?, "acme");
    }
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather())?;
    let dropped = text.lines().find_map(|line| line.strip_prefix("tenantry_events_dropped_total "));
    let dropped: u64 = dropped.expect("it is there").parse()?;
    assert!(dropped >= 100, "only {dropped} were left out");
    eventually("the other one hears", async || heard.all().len() > 20).await;
    let began = Instant::now();
    manager.close_within(MS * 100).await;
    assert!(began.elapsed() < MS * 5_000, "close waits for the logger");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    Ok(())
}

#[tokio::test]
async fn closing_waits_until_hooks_have_heard_of_everything() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let heard: Arc<Mutex<Vec<Event>>> = Arc::default();
    let slow = Arc::clone(&heard);
    let manager = world
        .builder()
        .on_event(move |event: Event| {
            let slow = Arc::clone(&slow);
            async move {
                tokio::time::sleep(MS).await;
                slow.lock().unwrap().push(event);
            }
        })
        .build()?;
    let db = manager.tenant("acme").await?;
    for _ in 0..100 {
        name_of(&db).await?;
    }
    manager.close().await;
    let heard = heard.lock().unwrap();
    let queries =
        heard.iter().filter(|event| matches!(event, Event::Query(of) if of.tenant_id.is_some()));
    assert_eq!(queries.count(), 100);
    let last = heard.iter().rev().find_map(|event| match event {
        Event::PoolEvicted(of) => Some(of.reason),
        _ => None,
    });
    assert_eq!(last, Some(EvictReason::Closed));
    Ok(())
}

#[tokio::test]
async fn the_plain_format_reads_like_the_guide() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.builder().events(slow_from_50_ms().statement_length(30)).build()?;
    let text = logged(Format::Plain, async {
        let db = manager.tenant("acme").await?;
        sqlx::query("select name,\n       id\nfrom   users where name <> $1")
            .bind("a secret value")
            .fetch_all(&db)
            .await?;
        sqlx::query("select pg_sleep(0.06)").execute(&db).await?;
        let malformed = manager.tenant("a\"b\nc").await.expect_err("it is no id");
        tracing::info!(target: "my_app::web", tenant = "a\"b\nc", error = %malformed, "refused\nhere");
        at_rest(&manager).await;
        manager.evict(db.tenant().id());
        manager.close().await;
        Ok(())
    })
    .await;
    let text = without_durations(&text);
    for line in [
        "[tenantry] tenant=acme POOL_CREATED schema=tenant_acme",
        "[tenantry] tenant=acme schema=tenant_acme query=\"select name, id from users whe…\" \
         duration=?ms rows=1",
        "[tenantry] tenant=acme SLOW_QUERY schema=tenant_acme duration=?ms \
         query=\"select pg_sleep(0.06)\" rows=1",
        "[tenantry] tenant=acme POOL_EVICTED schema=tenant_acme reason=requested",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\nis not in\n{text}");
    }
    let mine: Vec<_> = text.lines().filter(|line| line.starts_with("[my_app]")).collect();
    assert_eq!(mine.len(), 1, "{text}");
    assert!(mine[0].starts_with("[my_app] tenant=\"a\\\"b\\nc\" refused\\nhere error="), "{text}");
    assert!(text.lines().all(|line| line.starts_with('[')), "{text}");
    assert!(!text.contains("secret"), "{text}");
    Ok(())
}

#[tokio::test]
async fn statements_of_a_lease_are_told_inside_its_span_and_slow_ones_once() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.builder().events(slow_from_50_ms()).build()?;
    let text = logged(Format::Full, async {
        use tracing::Instrument;
        let db = manager.tenant("acme").await?;
        sqlx::query("select pg_sleep(0.06), 'on the handle'").execute(&db).await?;
        let mut lease = db.acquire().await?;
        let span = lease.span().clone();
        let query = sqlx::query("select 'on the lease', $1").bind("a secret value");
        query.execute(&mut *lease).instrument(span).await?;
        Ok(())
    })
    .await;
    let lines = |words: &[&str]| {
        text.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    };
    assert_eq!(lines(&["WARN", "SLOW_QUERY", "on the handle"]), 1, "{text}");
    assert_eq!(lines(&["WARN", "sqlx"]), 0, "{text}");
    assert!(
        lines(&["TRACE", "lease{tenant=\"acme\" schema=\"tenant_acme\"}", "sqlx::query"]) >= 2,
        "{text}"
    );
    assert!(text.contains("on the lease"));
    assert!(!text.contains("a secret value"), "{text}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn without_a_listener_a_statement_is_not_told() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let heard = Heard::default();
    let manager =
        world.builder().events(slow_from_50_ms().queries(false)).on_event(heard.hook()).build()?;
    let db = manager.tenant("acme").await?;
    name_of(&db).await?;
    sqlx::query("select pg_sleep(0.06)").execute(&db).await?;
    manager.close().await;
    let told = heard.all();
    assert!(!told.iter().any(|event| matches!(event, Event::Query(_))));
    assert_eq!(told.iter().filter(|event| matches!(event, Event::SlowQuery(_))).count(), 1);
    Ok(())
}

#[tokio::test]
async fn streams_are_told_with_the_rows_that_were_read() -> TestResult {
    use futures_util::TryStreamExt;
    let world = World::with_tenants(&["acme"]).await;
    let heard = Heard::default();
    let manager = world.builder().on_event(heard.hook()).build()?;
    let db = manager.tenant("acme").await?;
    let rows: Vec<_> =
        sqlx::query("select * from generate_series(1, 12)").fetch(&db).try_collect().await?;
    assert_eq!(rows.len(), 12);
    let failed = sqlx::query("select 1 / (5 - n) from generate_series(1, 9) n").fetch(&db);
    assert!(failed.try_collect::<Vec<_>>().await.is_err());
    run(&db, "select 1; select 2").await;
    manager.close().await;
    let outcomes: Vec<_> = heard
        .all()
        .into_iter()
        .filter_map(|event| match event {
            Event::Query(of) if of.tenant_id.is_some() => Some((of.rows, of.error)),
            _ => None,
        })
        .collect();
    assert_eq!(outcomes, [(12, None), (0, Some(ErrorClass::Data)), (2, None)]);
    Ok(())
}

#[test]
fn a_queue_without_room_is_refused_by_name() {
    let error = TenantManager::builder("postgres://localhost/x").events(events().queue(0)).build();
    assert_eq!(error.expect_err("no room").to_string(), "option queue must be at least 1");
}

#[tokio::test]
async fn every_tenant_pool_that_ends_is_told_however_many_end_at_once() -> TestResult {
    let world = World::new().await;
    let (created, evicted) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let catalog =
        tenantry::CatalogFn::new(|id| async { Ok(Some(tenantry::TenantRecord::new(id))) });
    let manager = world
        .builder()
        .catalog(catalog)
        .events(events().queue(10))
        .on_pool_created({
            let created = Arc::clone(&created);
            move |_: PoolCreated| *created.lock().unwrap() += 1
        })
        .on_pool_evicted({
            let evicted = Arc::clone(&evicted);
            move |_: PoolEvicted| *evicted.lock().unwrap() += 1
        })
        .build()?;
    for nth in 0..1_500 {
        drop(manager.tenant(format!("t{nth}")).await?.acquire().await?);
    }
    manager.close().await;
    assert_eq!((*created.lock().unwrap(), *evicted.lock().unwrap()), (1_500, 1_500));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenant_pools_begin_and_end_in_the_order_that_is_told() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let heard = Heard::default();
    let manager = world
        .builder()
        .events(events().queries(false).queue(100_000))
        .on_event(heard.hook())
        .build()?;
    let db = manager.tenant("acme").await?;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..6 {
        let (manager, db) = (manager.clone(), db.clone());
        tasks.spawn(async move {
            for _ in 0..300 {
                match task % 2 {
                    0 => drop(manager.evict(db.tenant().id())),
                    _ => drop(db.acquire().await),
                }
                tokio::task::yield_now().await;
            }
        });
    }
    drop(tasks.join_all().await);
    manager.close().await;
    let mut there = false;
    for event in heard.all() {
        match event {
            Event::PoolCreated(_) => assert!(!std::mem::replace(&mut there, true), "begun twice"),
            Event::PoolEvicted(_) => assert!(std::mem::replace(&mut there, false), "ended twice"),
            _ => {}
        }
    }
    assert!(!there, "it has not ended");
    Ok(())
}

#[tokio::test]
async fn a_statement_whose_caller_went_away_is_told_as_cancelled() -> TestResult {
    use futures_util::StreamExt;
    let world = World::with_tenants(&["acme"]).await;
    let heard = Heard::default();
    let manager = world.builder().events(slow_from_50_ms()).on_event(heard.hook()).build()?;
    let db = manager.tenant("acme").await?;
    let sleep = sqlx::query("select pg_sleep(60)").execute(&db);
    assert!(tokio::time::timeout(MS * 80, sleep).await.is_err());
    let mut stream = sqlx::query("select pg_sleep(60)").fetch(&db);
    assert!(tokio::time::timeout(MS * 80, stream.next()).await.is_err());
    drop(stream);
    manager.close().await;
    let cancelled = heard.all().into_iter().filter(|event| match event {
        Event::Query(of) | Event::SlowQuery(of) => of.error == Some(ErrorClass::Cancelled),
        _ => false,
    });
    assert_eq!(cancelled.count(), 2);
    Ok(())
}

#[tokio::test]
async fn the_span_of_a_lease_is_in_that_of_whoever_waited_for_it() -> TestResult {
    use tracing::Instrument;
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.one_session();
    let text = logged(Format::Full, async {
        let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
        let first = async {
            let lease = acme.acquire().await;
            eventually("the other one waits", async || manager.snapshot().waiting == 1).await;
            drop(lease);
        };
        let second = async { name_of(&globex).await };
        let (_, name) = tokio::join!(
            first.instrument(tracing::info_span!("of_acme")),
            second.instrument(tracing::info_span!("of_globex")),
        );
        assert_eq!(name?, "globex");
        Ok(())
    })
    .await;
    let mine = |line: &&str| line.contains("lease{tenant=\"globex\"");
    assert!(text.lines().any(|line| mine(&line) && line.contains("of_globex:lease")), "{text}");
    assert!(!text.lines().any(|line| mine(&line) && line.contains("of_acme")), "{text}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_subscriber_that_panics_costs_no_connection() -> TestResult {
    let world = World::with_tenants(&["acme", "globex", "initech"]).await;
    let manager = world.with_pool(|options| options.max_connections = 2);
    let text = logged(Format::Plain, async {
        crate::log::panic_at("POOL_CREATED");
        for id in ["acme", "globex", "initech"] {
            assert_eq!(name_of(&manager.tenant(id).await?).await?, id);
        }
        at_rest(&manager).await;
        Ok(())
    })
    .await;
    assert!(!text.contains("POOL_CREATED"));
    manager.close().await;
    Ok(())
}

/// A tenant pool that begins when all have ended would be told of to nobody, and never end.
#[tokio::test]
async fn no_tenant_pool_begins_after_the_end() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let text = logged(Format::Plain, async {
        name_of(&acme).await?;
        manager.close().await;
        for db in [&acme, &globex] {
            let error = db.acquire().await.expect_err("it is closed");
            assert_eq!(kind_of(error), tenantry::ErrorKind::Closed);
        }
        Ok(())
    })
    .await;
    assert_eq!(text.matches("POOL_CREATED").count(), 1, "{text}");
    assert!(text.contains("tenant=acme POOL_EVICTED schema=tenant_acme reason=closed"), "{text}");
    assert!(!text.contains("globex"), "{text}");
    assert_eq!(manager.snapshot().tenant_pools, 0);
    Ok(())
}
