//! A tenant has the limits that the catalog records for it, and they change while it is served.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::Executor;
use tenantry::{
    CatalogFn, CatalogOptions, Error, ErrorKind, FixedCatalog, MetricsOptions, TableCatalog,
    TenantDb, TenantId, TenantLimits, TenantManager, TenantRecord, Tier,
};
use tokio::task::JoinSet;

use crate::support::{
    TestResult, World, at_rest, counted, eventually, kind_of, name_of, pool_options, run,
};

const MS: Duration = Duration::from_millis(1);

/// A database with these tenants in a table.
async fn world(tenants: &[&str]) -> World {
    let world = World::with_tenants(tenants).await;
    let manager = manager(&world);
    TableCatalog::new().create_table(manager.shared()).await.expect("it can be created");
    for tenant in tenants {
        let insert = format!("insert into tenants (id) values ('{tenant}')");
        run(&mut world.admin().await, &insert).await;
    }
    manager.close().await;
    world
}

/// A manager with five connections for tenants, of which one may have three.
fn manager(world: &World) -> TenantManager {
    let builder = world.builder().catalog(TableCatalog::new()).max_connections(6);
    builder.build().expect("the configuration is sound")
}

/// Records limits.
async fn record(world: &World, tenant: &str, limits: &Value) {
    let attributes = json!({ "plan": "gold", "limits": limits });
    let update = format!("update tenants set attributes = '{attributes}' where id = '{tenant}'");
    run(&mut world.admin().await, &update).await;
}

/// Records limits, and waits until the manager has heard of them.
async fn limit(world: &World, manager: &TenantManager, tenant: &str, limits: &Value) {
    record(world, tenant, limits).await;
    eventually("the manager knows the limits", async || {
        let db = manager.tenant(tenant).await.expect("it is served");
        db.tenant().attributes()["limits"] == *limits
    })
    .await;
}

async fn setting(conn: impl Executor<'_, Database = sqlx::Postgres>) -> sqlx::Result<String> {
    sqlx::query_scalar("show idle_in_transaction_session_timeout").fetch_one(conn).await
}

async fn sleep_for(db: &TenantDb, seconds: f64) -> sqlx::Result<()> {
    sqlx::query("select pg_sleep($1)").bind(seconds).execute(db).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_changes_under_handles_and_under_requests_that_wait() -> TestResult {
    let world = world(&["acme", "globex"]).await;
    let manager = manager(&world);
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let mut held = vec![acme.acquire().await?];

    limit(&world, &manager, "acme", &json!({ "max_connections": 1 })).await;
    let error = Error::from(acme.acquire_within(MS * 200).await.expect_err("one is the cap"));
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let waiting = tokio::spawn({
        let acme = acme.clone();
        async move { acme.acquire().await }
    });
    eventually("somebody waits", async || manager.snapshot().waiting == 1).await;
    let others = [globex.acquire().await?, globex.acquire().await?, globex.acquire().await?];
    drop(others);

    // Nobody asks for a connection in between: the look-up is enough.
    limit(&world, &manager, "acme", &json!({ "max_connections": 2 })).await;
    held.push(waiting.await??);
    limit(&world, &manager, "acme", &json!({ "max_connections": 1000 })).await;
    for _ in 0..3 {
        held.push(acme.acquire().await?);
    }
    let error = acme.acquire_within(MS * 200).await.expect_err("five are all");
    assert_eq!(kind_of(error), ErrorKind::Timeout);
    assert_eq!(manager.snapshot().leased_to_tenants, 5, "the budget stays");

    drop(held);
    limit(&world, &manager, "acme", &json!(null)).await;
    at_rest(&manager).await;
    let _held = [acme.acquire().await?, acme.acquire().await?, acme.acquire().await?];
    let error = acme.acquire_within(MS * 200).await.expect_err("three are the cap of all");
    assert_eq!(kind_of(error), ErrorKind::Timeout);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_has_a_bound_of_its_own() -> TestResult {
    let world = world(&["acme"]).await;
    let manager = manager(&world);
    let acme = manager.tenant("acme").await?;
    let held = acme.acquire().await?;
    let limits = json!({ "max_connections": 1, "max_waiting": 1 });
    limit(&world, &manager, "acme", &limits).await;
    let waiting = tokio::spawn({
        let acme = acme.clone();
        async move { name_of(&acme).await }
    });
    eventually("somebody waits", async || manager.snapshot().waiting == 1).await;
    let error = Error::from(acme.acquire().await.expect_err("the queue is full"));
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.to_string().contains("1 requests of this tenant are already waiting"), "{error}");
    drop(held);
    assert_eq!(waiting.await??, "acme");
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_timeout_replaces_that_of_the_pool() -> TestResult {
    let world = world(&["acme", "globex"]).await;
    let options = pool_options(|options| options.statement_timeout = Some(MS * 300));
    let builder = world.builder().catalog(TableCatalog::new()).pool_options(options);
    let manager = builder.build()?;
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let late = async |db: &TenantDb, seconds| sleep_for(db, seconds).await.map_err(kind_of);
    assert_eq!(late(&acme, 1.0).await, Err(ErrorKind::StatementTimeout));
    limit(&world, &manager, "acme", &json!({ "statement_timeout": "10s" })).await;
    assert_eq!(late(&acme, 1.0).await, Ok(()));
    assert_eq!(late(&globex, 1.0).await, Err(ErrorKind::StatementTimeout));
    limit(&world, &manager, "acme", &json!({ "statement_timeout": "50ms" })).await;
    assert_eq!(late(&acme, 0.2).await, Err(ErrorKind::StatementTimeout));
    assert_eq!(late(&globex, 0.2).await, Ok(()));
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_limit_reaches_sessions_that_are_bound_already() -> TestResult {
    let world = world(&["acme", "globex"]).await;
    let manager = manager(&world);
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    assert_eq!(setting(&acme).await?, "1min");
    for (limits, expected) in [
        (json!({ "idle_in_transaction_timeout": "1500ms" }), "1500ms"),
        (json!({ "idle_in_transaction_timeout": "0s" }), "0"),
        (json!({}), "1min"),
        (json!({ "idle_in_transaction_timeout": "300ms" }), "300ms"),
    ] {
        limit(&world, &manager, "acme", &limits).await;
        assert_eq!(setting(&acme).await?, expected, "a plain statement");
        assert_eq!(setting(&mut *acme.acquire().await?).await?, expected, "a lease");
        assert_eq!(setting(&globex).await?, "1min");
    }
    let mut tx = acme.begin().await?;
    tokio::time::sleep(MS * 1_000).await;
    let error = name_of(&mut *tx).await.expect_err("the server has ended it");
    assert_eq!(kind_of(error), ErrorKind::IdleInTransaction);
    manager.close().await;
    Ok(())
}

/// A record that is read again without a change costs no rebind, with limits and without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_limits_leave_sessions_as_they_are() -> TestResult {
    let world = world(&["acme", "globex"]).await;
    record(&world, "acme", &json!({ "idle_in_transaction_timeout": "5s", "weight": 2 })).await;
    let manager = manager(&world);
    for tenant in ["acme", "globex"] {
        name_of(&manager.tenant(tenant).await?).await?;
        at_rest(&manager).await;
        let before = manager.snapshot().acquires;
        for _ in 0..5 {
            manager.invalidate(tenant).await;
            name_of(&manager.tenant(tenant).await?).await?;
        }
        // The catalog's own acquires are hits as well.
        let after = manager.snapshot().acquires;
        assert_eq!((after.rebind, after.open), (before.rebind, before.open), "{tenant}");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_announcement_limits_change_with_the_cache() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let limits = Arc::new(Mutex::new(json!({ "statement_timeout": "50ms" })));
    let recorded = Arc::clone(&limits);
    let catalog = CatalogFn::new(move |id| {
        let attributes = json!({ "limits": *recorded.lock().expect("nobody panics") });
        async move { Ok(Some(TenantRecord::new(id).attributes(attributes))) }
    });
    let ttl = CatalogOptions::default().ttl(MS * 200);
    let manager = world.builder().catalog(catalog).catalog_options(ttl).build()?;
    let acme = manager.tenant("acme").await?;
    let error = sleep_for(&acme, 1.0).await.expect_err("50 ms are the limit");
    assert_eq!(kind_of(error), ErrorKind::StatementTimeout);
    *limits.lock().expect("nobody panics") = json!({ "statement_timeout": "10s" });
    let changed = Instant::now();
    eventually("the handle has the limit", async || {
        manager.tenant("acme").await.expect("it is served");
        sleep_for(&acme, 0.2).await.is_ok()
    })
    .await;
    assert!(changed.elapsed() < MS * 5_000, "{:?}", changed.elapsed());
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_that_cannot_be_used_concern_their_tenant_alone() -> TestResult {
    let world = world(&["acme", "globex"]).await;
    let manager = manager(&world);
    for (limits, says) in [
        (json!({ "max_conections": 1 }), "there is no limit \"max_conections\""),
        (json!({ "weight": "3" }), "weight must be a number from 0.1 to 100"),
        (json!([]), "the attribute limits must be an object"),
    ] {
        record(&world, "acme", &limits).await;
        let mut told = String::new();
        eventually("acme is refused", async || match manager.tenant("acme").await {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Config);
                told = error.to_string();
                told.contains(says)
            }
        })
        .await;
        assert!(
            told.starts_with("invalid configuration (tenant acme): its limits cannot be used: ")
        );
        assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex");
        assert_eq!(manager.tenants().await?.len(), 2, "the list is complete");
    }
    record(&world, "acme", &json!({ "weight": 3 })).await;
    eventually("acme is served again", async || manager.tenant("acme").await.is_ok()).await;
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_record_takes_precedence_over_the_tier() -> TestResult {
    let world = world(&["acme", "globex", "initech"]).await;
    record(&world, "acme", &json!({ "requests_per_second": 1000 })).await;
    record(&world, "globex", &json!({ "statement_timeout": "60s" })).await;
    let builder = world.builder().catalog(TableCatalog::new());
    let manager = builder.tier(|record| {
        let is_recorded = record.id.as_str() != "initech";
        assert_eq!(record.attributes["plan"] == "gold", is_recorded);
        let limits = TenantLimits::new().statement_timeout(MS * 50).requests_per_second(0.01);
        Tier::new().limits(match record.id.as_str() {
            "initech" => limits.weight(f64::NAN),
            _ => limits,
        })
    });
    let manager = manager.build()?;
    let acme = manager.tenant("acme").await?;
    assert_eq!(sleep_for(&acme, 1.0).await.map_err(kind_of), Err(ErrorKind::StatementTimeout));
    assert!((0..10).all(|_| acme.check_rate().is_ok()), "the rate is its own");
    let globex = manager.tenant("globex").await?;
    sleep_for(&globex, 0.1).await?;
    assert!((0..2).any(|_| globex.check_rate().is_err()), "the rate is that of the tier");
    let error = manager.tenant("initech").await.expect_err("its weight is no number");
    assert_eq!(error.kind(), ErrorKind::Config);
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_counts_over_all_handles_and_outlasts_look_ups() -> TestResult {
    let world = world(&["acme", "globex"]).await;
    record(&world, "acme", &json!({ "requests_per_second": 0.01 })).await;
    let manager = manager(&world);
    let collector = manager.collector(MetricsOptions::default());
    let (acme, again) = (manager.tenant("acme").await?, manager.tenant("acme").await?);
    acme.check_rate()?;
    for _ in 0..3 {
        let error = again.check_rate().expect_err("over the rate");
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::RateLimited, true));
        assert_eq!(error.tenant().map(TenantId::as_str), Some("acme"));
        let after = error.retry_after().ok_or("it is known")?;
        assert!(after > MS * 50_000 && after <= MS * 100_000, "{after:?}");
        manager.invalidate("acme").await;
        manager.tenant("acme").await?.check_rate().expect_err("a look-up is no new burst");
    }
    assert_eq!(counted(&collector, "tenantry_rate_limited_total"), 6.0);
    name_of(&acme).await?;
    let globex = manager.tenant("globex").await?;
    assert!((0..1_000).all(|_| globex.check_rate().is_ok()), "no rate");
    limit(&world, &manager, "acme", &json!({ "requests_per_second": 100 })).await;
    assert!((0..100).all(|_| acme.check_rate().is_ok()), "a second's worth at once");
    manager.close().await;
    Ok(())
}

/// What a weight is exactly, the tests of the scheduler say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_of_weight_three_gets_more_than_twice_as_much() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let records = ["acme", "globex"].map(|id| TenantRecord::new(id.parse().expect("an id")));
    let options = pool_options(|options| {
        options.max_connections = 2;
        options.max_connections_per_tenant = Some(2);
    });
    let builder = world.builder().catalog(FixedCatalog::new(records)).pool_options(options);
    let heavy = TenantLimits::new().weight(3.0);
    let manager = builder.tier(move |record| match record.id.as_str() {
        "acme" => Tier::new().limits(heavy.clone()),
        _ => Tier::new(),
    });
    let manager = manager.build()?;
    let served = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let end = Instant::now() + MS * 3_000;
    let mut tasks = JoinSet::<sqlx::Result<()>>::new();
    for (tenant, served) in ["acme", "globex"].into_iter().zip(&served) {
        let db = manager.tenant(tenant).await?;
        for _ in 0..6 {
            let (db, served) = (db.clone(), Arc::clone(served));
            tasks.spawn(async move {
                while Instant::now() < end {
                    sleep_for(&db, 0.01).await?;
                    served.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let [acme, globex] = served.map(|served| served.load(Ordering::Relaxed));
    assert!(acme > globex * 2 && acme < globex * 5, "{acme} and {globex}");
    manager.close().await;
    Ok(())
}
