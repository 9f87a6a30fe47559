//! A health check says whether the database can be reached, whatever the tenants do.

use std::time::{Duration, Instant};

use tenantry::{
    BreakerState, HealthOf, HealthOptions, HealthReport, HealthStatus, TenantId, TenantManager,
    TenantRecord,
};
use tokio::task::JoinSet;

use crate::{
    faults::{Frozen, Mode, Proxy},
    support::{
        TestResult, World, at_rest, eventually, name_of, pool_options, private_server, run,
        sessions,
    },
};

const MS: Duration = Duration::from_millis(1);

fn ids(names: &[&str]) -> HealthOf {
    HealthOf::These(names.iter().map(|name| TenantId::parse(name).expect("an id")).collect())
}

fn statuses(report: &HealthReport) -> Vec<(&str, HealthStatus)> {
    report.pools.iter().map(|pool| (pool.tenant_id.as_str(), pool.status)).collect()
}

#[tokio::test]
async fn a_report_serialises_to_what_the_guide_shows() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    for id in ["acme", "globex"] {
        name_of(&manager.tenant(id).await?).await?;
    }
    let report = manager.health(HealthOptions::default()).await;
    assert_eq!(statuses(&report), [("acme", HealthStatus::Ok), ("globex", HealthStatus::Ok)]);
    let json = serde_json::to_value(&report)?;
    assert_eq!(json["healthy"], true);
    assert_eq!(json["status"], "ok");
    let acme = serde_json::json!({
        "tenantId": "acme", "status": "ok",
        "totalConnections": 1, "idleConnections": 1, "waitingRequests": 0,
    });
    assert_eq!(json["pools"][0], acme);
    assert_eq!(json["sharedDb"]["status"], "ok");
    assert!(json["sharedDb"]["responseTimeMs"].is_number());
    assert_eq!(json["breaker"], "closed");
    for (key, count) in [("totalPools", 2), ("degradedPools", 0), ("unhealthyPools", 0)] {
        assert_eq!(json[key], count);
    }
    assert!(json["durationMs"].is_number());
    let timestamp = json["timestamp"].as_str().expect("text");
    assert!(timestamp.len() == 24 && timestamp.ends_with('Z'), "{timestamp}");
    let hidden = serde_json::to_string(&report.without_tenants())?;
    assert!(!hidden.contains("acme") && hidden.contains(r#""totalPools":2"#), "{hidden}");
    let for_ever = HealthOptions::default().ping_timeout(Duration::MAX);
    assert!(manager.health(for_ever).await.healthy);
    let without = manager.health(HealthOptions::default().include_shared(false)).await;
    assert!(serde_json::to_value(&without)?.get("sharedDb").is_none());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_database_that_is_down_is_unhealthy_with_nothing_bound_yet() -> TestResult {
    let server = private_server(&["acme"]).await;
    server.stop_now().await?;
    let manager = TenantManager::builder(server.url()).build()?;
    let report = manager.health(HealthOptions::default()).await;
    assert_eq!((report.healthy, report.status), (false, HealthStatus::Unhealthy));
    let shared = report.shared_db.expect("it is included");
    assert_eq!((shared.status, shared.response_time), (HealthStatus::Unhealthy, None));
    assert_eq!(shared.reason, Some("the database cannot be reached"));
    let named = manager.health(HealthOptions::default().tenants(ids(&["acme"]))).await;
    assert_eq!((named.healthy, named.unhealthy_pools), (false, 1));
    let text = serde_json::to_string(&named)?;
    assert!(!text.contains("127.0.0.1") && !text.contains("refused"), "{text}");
    server.start_again().await?;
    eventually("it is healthy again", async || {
        manager.health(HealthOptions::default()).await.healthy
    })
    .await;
    manager.close().await;
    let closed = manager.health(HealthOptions::default()).await;
    assert_eq!((closed.healthy, closed.status), (false, HealthStatus::Unhealthy));
    Ok(())
}

#[tokio::test]
async fn one_sick_tenant_makes_nobody_else_unhealthy() -> TestResult {
    let world = World::with_tenants(&["acme", "globex", "initech"]).await;
    let mut admin = world.admin().await;
    // Roles belong to the whole server, which other tests use as well.
    let role: String =
        sqlx::query_scalar("select 'of_' || current_database()").fetch_one(&mut admin).await?;
    run(&mut admin, &format!("create role \"{role}\"")).await;
    let record = |id: &str| {
        let record = TenantRecord::new(TenantId::parse(id).expect("an id"));
        match id {
            // This role may not use the tenant's schema.
            "globex" => record.role(role.parse().expect("a name")),
            _ => record,
        }
    };
    let catalog = ["acme", "globex", "initech"].map(record);
    let manager = world.builder().catalog(tenantry::FixedCatalog::new(catalog)).build()?;
    for id in ["acme", "globex", "initech"] {
        drop(manager.tenant(id).await?.acquire().await?);
    }
    run(&mut admin, "drop schema tenant_acme cascade").await;
    let report = manager.health(HealthOptions::default()).await;
    let expected = [
        ("acme", HealthStatus::Unhealthy),
        ("globex", HealthStatus::Unhealthy),
        ("initech", HealthStatus::Ok),
    ];
    assert_eq!(statuses(&report), expected);
    assert_eq!((report.healthy, report.status), (true, HealthStatus::Ok));
    assert_eq!((report.total_pools, report.unhealthy_pools), (3, 2));
    let reason = report.pools[0].reason.expect("it is known");
    assert!(reason.contains("schema"), "{reason}");
    let ready = manager.health(HealthOptions::default().tenants(HealthOf::Nobody)).await;
    assert!(ready.healthy && ready.pools.is_empty());
    let named = HealthOptions::default().tenants(ids(&["nobody", "initech"]));
    let named = manager.health(named).await;
    let expected = [("nobody", HealthStatus::Unhealthy), ("initech", HealthStatus::Ok)];
    assert_eq!(statuses(&named), expected);
    assert_eq!(named.pools[0].reason, Some("unknown tenant"));
    assert!(named.healthy);
    manager.close().await;
    run(&mut admin, &format!("drop role \"{role}\"")).await;
    Ok(())
}

#[tokio::test]
async fn requests_that_wait_degrade_and_no_more() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| options.max_connections = 1);
    let db = manager.tenant("acme").await?;
    let lease = db.acquire().await?;
    let mut waiting = JoinSet::new();
    for _ in 0..5 {
        let db = db.clone();
        waiting.spawn(async move { db.acquire().await.map(drop) });
    }
    eventually("five wait", async || manager.snapshot().waiting == 5).await;
    let report = manager.health(HealthOptions::default().ping(false)).await;
    assert_eq!((report.healthy, report.status), (true, HealthStatus::Degraded));
    assert_eq!(statuses(&report), [("acme", HealthStatus::Degraded)]);
    assert_eq!(report.pools[0].waiting_requests, 5);
    drop(lease);
    for outcome in waiting.join_all().await {
        outcome?;
    }
    at_rest(&manager).await;
    let report = manager.health(HealthOptions::default()).await;
    assert_eq!(report.status, HealthStatus::Ok);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_slow_answer_degrades_and_none_is_unhealthy() -> TestResult {
    let server = private_server(&["acme"]).await;
    let proxy = Proxy::before(server.port()).await;
    let manager = TenantManager::builder(proxy.url()).build()?;
    name_of(&manager.tenant("acme").await?).await?;
    let within = |timeout| HealthOptions::default().ping_timeout(timeout);
    assert_eq!(manager.health(within(MS * 5_000)).await.status, HealthStatus::Ok);
    // There and back takes 80 ms, so a ping and the question about the tenants each take that long.
    proxy.set(Mode::Delay(MS * 40));
    let shared = within(MS * 150).tenants(HealthOf::Nobody);
    let mut report = manager.health(shared.clone()).await;
    if report.status == HealthStatus::Unhealthy {
        // A machine that was busy for 70 ms.
        report = manager.health(shared).await;
    }
    assert_eq!((report.healthy, report.status), (true, HealthStatus::Degraded), "{report:?}");
    proxy.set(Mode::BlackHole);
    let began = Instant::now();
    let report = manager.health(within(MS * 200)).await;
    assert_eq!((report.healthy, report.status), (false, HealthStatus::Unhealthy));
    assert_eq!(statuses(&report), [("acme", HealthStatus::Unhealthy)]);
    assert!(began.elapsed() < MS * 2_000, "it took {:?}", began.elapsed());
    proxy.set(Mode::Cut);
    proxy.set(Mode::Pass);
    eventually("it is healthy again", async || manager.health(within(MS * 5_000)).await.healthy)
        .await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn many_checks_at_once_take_two_connections() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| options.max_connections = 20);
    name_of(&manager.tenant("acme").await?).await?;
    let mut checks = JoinSet::new();
    for _ in 0..200 {
        let manager = manager.clone();
        checks.spawn(async move { manager.health(HealthOptions::default()).await.healthy });
    }
    assert!(checks.join_all().await.into_iter().all(|healthy| healthy));
    // The tenant's, one that asks for a sign of life, and one that looks at the tenants.
    assert!(sessions(&mut world.admin().await).await <= 3);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn traffic_does_not_starve_a_check() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    for (budget, reserve) in [(10, None), (4, Some(1))] {
        let manager = world
            .builder()
            .pool_options(pool_options(|options| {
                options.max_connections = budget;
                options.max_connections_per_tenant = Some(budget);
                options.reserved_connections = reserve;
            }))
            .build()?;
        let db = manager.tenant("acme").await?;
        let mut leases = Vec::new();
        for _ in 0..budget - 1 {
            leases.push(db.acquire().await?);
        }
        let waiting = tokio::spawn({
            let db = db.clone();
            async move { db.acquire().await.map(drop) }
        });
        eventually("one waits", async || manager.snapshot().waiting == 1).await;
        let options = HealthOptions::default().ping_timeout(MS * 2_000);
        let report = manager.health(options).await;
        assert!(report.healthy, "{report:?}");
        drop(leases);
        waiting.await??;
        manager.close().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_of_a_frozen_server_end_in_time_and_recover() -> TestResult {
    let server = private_server(&["acme"]).await;
    let manager = TenantManager::builder(server.url())
        .pool_options(pool_options(|options| {
            options.max_connections = 3;
            options.connect_timeout = MS * 300;
            options.acquire_timeout = MS * 1_000;
        }))
        .build()?;
    assert!(manager.health(HealthOptions::default()).await.healthy);
    let frozen = Frozen::freeze(&server);
    let mut checks = JoinSet::new();
    let began = Instant::now();
    for _ in 0..20 {
        let manager = manager.clone();
        let options = HealthOptions::default().ping_timeout(MS * 300);
        checks.spawn(async move { manager.health(options).await.healthy });
    }
    assert!(checks.join_all().await.into_iter().all(|healthy| !healthy));
    assert!(began.elapsed() < MS * 5_000, "it took {:?}", began.elapsed());
    drop(frozen);
    eventually("it is healthy again", async || {
        manager.health(HealthOptions::default()).await.healthy
    })
    .await;
    assert_eq!(manager.snapshot().breaker, BreakerState::Closed);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_holds_every_connection_makes_nobody_unready() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| {
        options.max_connections = 3;
        options.max_connections_per_tenant = Some(3);
    });
    let db = manager.tenant("acme").await?;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(db.begin().await?);
    }
    let options = HealthOptions::default().tenants(HealthOf::Nobody).ping_timeout(MS * 200);
    let report = manager.health(options.clone()).await;
    assert_eq!((report.healthy, report.status), (true, HealthStatus::Degraded), "{report:?}");
    let shared = report.shared_db.expect("it is included");
    assert_eq!(shared.reason, Some("every connection is in use"));
    drop(held);
    at_rest(&manager).await;
    assert_eq!(manager.health(options).await.status, HealthStatus::Ok);
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_look_at_many_tenants_do_not_make_a_probe_fail() -> TestResult {
    let world = World::new().await;
    let catalog = tenantry::CatalogFn::new(|id| async { Ok(Some(TenantRecord::new(id))) });
    let manager = world.builder().catalog(catalog).build()?;
    for nth in 0..1_000 {
        drop(manager.tenant(format!("t{nth}")).await?.acquire().await?);
    }
    let mut checks = JoinSet::new();
    for nth in 0..200 {
        let manager = manager.clone();
        let tenants = if nth % 4 == 0 { HealthOf::Nobody } else { HealthOf::Bound };
        let options = HealthOptions::default().tenants(tenants).ping_timeout(MS * 2_000);
        checks.spawn(async move { manager.health(options).await.healthy });
    }
    assert!(checks.join_all().await.into_iter().all(|healthy| healthy));
    manager.close().await;
    Ok(())
}

/// Of three connections one listens to the catalog, so tenants have all that there are when they have
/// two.
#[tokio::test]
async fn tenants_that_hold_everything_beside_a_listener_saturate_and_no_more() -> TestResult {
    let world = World::with_tenants(&["acme", "globex", "initech"]).await;
    let catalog = tenantry::TableCatalog::new();
    let manager = world.builder().catalog(catalog.clone()).max_connections(3).build()?;
    catalog.create_table(manager.shared()).await?;
    let insert = "insert into tenants (id) values ('acme'), ('globex'), ('initech')";
    run(&mut world.admin().await, insert).await;
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let initech = manager.tenant("initech").await?;
    let held = (acme.begin().await?, globex.acquire().await?);
    // As long as nobody waits there is nothing to complain of.
    let options = HealthOptions::default().tenants(HealthOf::Nobody).ping_timeout(MS * 4_000);
    let report = manager.health(options.clone().ping(false)).await;
    assert_eq!((report.healthy, report.status), (true, HealthStatus::Degraded), "{report:?}");
    assert!(report.reason.is_none() && report.saturation.is_none(), "{report:?}");

    let waiting = tokio::spawn(async move { initech.acquire().await.map(drop) });
    eventually("it waits", async || manager.snapshot().waiting == 1).await;
    let began = Instant::now();
    let report = manager.health(options.clone()).await;
    assert!(began.elapsed() < MS * 3_500, "a probe hears of it in time");
    assert_eq!((report.healthy, report.status), (true, HealthStatus::Degraded), "{report:?}");
    assert_eq!(
        report.shared_db.as_ref().and_then(|of| of.reason),
        Some("every connection is in use")
    );
    assert_eq!(report.reason, Some("saturated"));
    let saturation = report.saturation.as_ref().expect("it is saturated");
    assert_eq!(saturation.places, 2);
    let mut holders: Vec<_> = saturation
        .holders
        .iter()
        .map(|of| (of.tenant_id.as_ref().map(TenantId::as_str), of.what, of.connections))
        .collect();
    holders.sort_unstable();
    assert_eq!(holders, [(Some("acme"), "tenant", 1), (Some("globex"), "tenant", 1)]);
    assert!(saturation.holders.iter().all(|of| of.longest_hold >= MS * 1_900), "{saturation:?}");
    assert!(saturation.holders[0].longest_hold >= saturation.holders[1].longest_hold);
    let json = serde_json::to_value(&report)?;
    assert_eq!(json["saturation"]["holders"][0]["tenantId"], "acme");
    assert!(json["saturation"]["holders"][0]["longestHoldMs"].is_number());
    let hidden = serde_json::to_string(&report.without_tenants())?;
    assert!(!hidden.contains("acme") && !hidden.contains("globex"), "{hidden}");
    assert!(hidden.contains("longestHoldMs"), "{hidden}");

    drop(held);
    waiting.await??;
    at_rest(&manager).await;
    let report = manager.health(options).await;
    assert_eq!((report.status, report.reason), (HealthStatus::Ok, None));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_at_its_cap_saturates_nobody_else() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.with_pool(|options| {
        options.max_connections = 4;
        options.max_connections_per_tenant = Some(1);
    });
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    name_of(&globex).await?;
    let held = acme.acquire().await?;
    let waiting = tokio::spawn({
        let acme = acme.clone();
        async move { acme.acquire().await.map(drop) }
    });
    eventually("it waits", async || manager.snapshot().waiting == 1).await;
    let report = manager.health(HealthOptions::default()).await;
    assert_eq!((report.healthy, report.reason), (true, None), "{report:?}");
    assert_eq!(statuses(&report), [("acme", HealthStatus::Degraded), ("globex", HealthStatus::Ok)]);
    let reason = report.pools[0].reason.expect("it is known");
    assert!(reason.contains("at the connection limit of a tenant"), "{reason}");
    drop(held);
    waiting.await??;
    manager.close().await;
    Ok(())
}

/// The server lets nobody else in, and tenants hold what there is: neither is a reason to take the
/// instance away.
#[tokio::test]
async fn tenants_that_hold_all_that_the_server_has_room_for_make_nobody_unready() -> TestResult {
    let server = tenantry_devdb::DevServer::builder()
        .setting("max_connections", "5")
        .setting("superuser_reserved_connections", "0")
        .setting("max_wal_senders", "0")
        .start()
        .await?;
    let mut admin = crate::support::connect(&server.url()).await;
    for tenant in ["acme", "globex"] {
        crate::support::create_tenant(&mut admin, tenant).await;
    }
    let manager = TenantManager::builder(server.url()).max_connections(8).build()?;
    let mut held = JoinSet::new();
    for tenant in ["acme", "globex"].into_iter().cycle().take(6) {
        let db = manager.tenant(tenant).await?;
        held.spawn(async move { db.acquire().await });
    }
    eventually("all that there is room for is leased, and some wait", async || {
        let pool = manager.snapshot();
        pool.leased >= 3 && pool.waiting >= 1 && pool.idle == 0
    })
    .await;
    let options = HealthOptions::default().tenants(HealthOf::Nobody).ping_timeout(MS * 1_000);
    let report = manager.health(options).await;
    assert_eq!((report.healthy, report.status), (true, HealthStatus::Degraded), "{report:?}");
    drop(held.join_all().await);
    manager.close().await;
    Ok(())
}
