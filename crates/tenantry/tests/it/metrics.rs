//! Everything that the documentation lists is measured, and Prometheus can read it.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use prometheus::{Registry, TextEncoder, core::Collector};
use tenantry::{
    ErrorKind, HealthOf, HealthOptions, MetricsOptions, TableCatalog, TenantManager,
    migrate::{MigrateOptions, OnFailure, Schemas},
    provision::CreateOptions,
};
use tokio::task::JoinSet;

use crate::{
    faults::{Mode, Proxy},
    migrate::Files,
    support::{
        TestResult, World, at_rest, connect, eventually, kill, name_of, pid_of, pool_options,
        private_server, run, skip,
    },
};

fn registry(manager: &TenantManager, options: MetricsOptions) -> Registry {
    let registry = Registry::new();
    registry.register(Box::new(manager.collector(options))).expect("nothing is registered twice");
    registry
}

fn text(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).expect("it can be written")
}

/// The value of a series, by its name with its labels.
fn value(text: &str, series: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    rest.and_then(|value| value.parse().ok())
}

/// Has Prometheus' own tool check the text, where it is there.
fn check_with_promtool(text: &str) {
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        skip("the text for Prometheus: there is no promtool on this machine");
        return;
    };
    tool.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
    let output = tool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[tokio::test]
async fn every_metric_of_the_documentation_is_there_and_promtool_likes_it() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let builder = world.builder().budget_shared_by("service");
    let manager = builder.replica("main", world.database.url()).build()?;
    let options = MetricsOptions::default().tenant_labels(5).process(true).runtime(true);
    let registry = registry(&manager, options);
    for id in ["acme", "globex"] {
        let db = manager.tenant(id).await?;
        name_of(&db).await?;
        name_of(&db.read()).await?;
    }
    manager.shared().ping().await?;
    manager.tenants().await?;
    drop(manager.health(HealthOptions::default()).await);
    // A readiness probe looks at no tenant, and takes back nothing that is known of them.
    drop(manager.health(HealthOptions::default().tenants(HealthOf::Nobody)).await);
    at_rest(&manager).await;
    let text = text(&registry);
    assert_eq!(value(&text, "tenantry_health_pools{status=\"ok\"}"), Some(2.0));
    check_with_promtool(&text);
    // A shared budget is refused behind a pooler, so its metrics are those of another manager.
    let user =
        "create role pooled superuser login; alter role pooled set search_path to pg_catalog";
    run(&mut world.admin().await, user).await;
    let url = world.database.url().replace("//postgres@", "//pooled@");
    let pooled = TenantManager::builder(url).behind_transaction_pooler();
    let pooled = pooled.direct_url(world.database.url()).build()?;
    name_of(&pooled.tenant("acme").await?).await?;
    let of_pooled = self::text(&self::registry(&pooled, MetricsOptions::default()));
    check_with_promtool(&of_pooled);
    let text = text + &of_pooled;
    let rows = include_str!("../../src/metrics/list.md").lines().skip(2);
    let documented: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert!(documented.len() > 25, "{documented:?}");
    for name in &documented {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name} is documented and not there");
    }
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE tenantry_")) {
        let name = format!("tenantry_{}", line.split(' ').next().unwrap_or_default());
        assert!(documented.contains(&&*name), "{name} is there and not documented");
    }
    if cfg!(target_os = "linux") {
        assert!(text.contains("process_resident_memory_bytes "));
    }
    pooled.close().await;
    run(&mut world.admin().await, "drop role pooled").await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn figures_say_what_has_happened() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world
        .builder()
        .pool_options(pool_options(|options| {
            options.max_connections = 2;
            options.max_connections_per_tenant = Some(2);
            options.max_waiting_per_tenant = 1;
            options.acquire_timeout = Duration::from_millis(1_000);
        }))
        .events(tenantry::EventOptions::default().slow_query_threshold(Duration::from_millis(50)))
        .build()?;
    let registry = registry(&manager, MetricsOptions::default());
    let acme = manager.tenant("acme").await?;
    let globex = manager.tenant("globex").await?;
    manager.tenant("acme").await?;
    let lease = acme.acquire().await?;
    let other = acme.acquire().await?;
    assert!(globex.acquire().await.is_err(), "it waits in vain");
    drop((lease, other));
    at_rest(&manager).await;
    for _ in 0..5 {
        name_of(&acme).await?;
    }
    name_of(&globex).await?;
    sqlx::query("select pg_sleep(0.06)").execute(&acme).await?;
    assert!(sqlx::query("select nonsense").execute(&acme).await.is_err());
    assert!(sqlx::query("select 1/0").execute(&acme).await.is_err());
    manager.evict(globex.tenant().id());
    at_rest(&manager).await;
    let text = text(&registry);
    for (series, expected) in [
        ("tenantry_connections_max", 2.0),
        ("tenantry_connections{state=\"idle\"}", 2.0),
        ("tenantry_connections{state=\"leased\"}", 0.0),
        ("tenantry_waiting_requests", 0.0),
        ("tenantry_tenant_pools", 1.0),
        ("tenantry_tenant_pools_max", 10_000.0),
        ("tenantry_acquires_total{outcome=\"timeout\"}", 1.0),
        ("tenantry_evictions_total{reason=\"requested\"}", 1.0),
        ("tenantry_errors_total{class=\"pool\"}", 1.0),
        ("tenantry_errors_total{class=\"syntax\"}", 1.0),
        ("tenantry_errors_total{class=\"data\"}", 1.0),
        ("tenantry_slow_queries_total", 1.0),
        ("tenantry_catalog_hits_total", 1.0),
        ("tenantry_catalog_misses_total", 2.0),
        ("tenantry_breaker_state{state=\"closed\"}", 1.0),
        ("tenantry_breaker_state{state=\"open\"}", 0.0),
        ("tenantry_shared_initialized", 0.0),
        ("tenantry_hook_failures_total", 0.0),
        ("tenantry_events_dropped_total", 0.0),
        // Five names, one of globex, one that sleeps, two that fail.
        ("tenantry_query_duration_seconds_count", 9.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series}\n{text}");
    }
    for series in [
        "tenantry_acquires_total{outcome=\"hit\"}",
        "tenantry_acquires_total{outcome=\"rebind\"}",
        "tenantry_acquires_total{outcome=\"open\"}",
        "tenantry_acquire_wait_seconds_count",
        "tenantry_connection_hold_seconds_count",
        "tenantry_connect_seconds_count",
        "tenantry_rebind_seconds_count",
    ] {
        assert!(value(&text, series).is_some_and(|value| value >= 1.0), "{series}\n{text}");
    }
    assert!(!text.contains("acme"), "no tenant labels by default");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn migrations_and_creations_are_counted_and_timed() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().catalog(TableCatalog::new()).build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    let registry = registry(&manager, MetricsOptions::default());
    let before = text(&registry);
    for series in [
        "tenantry_migrations_total{outcome=\"failed\"}",
        "tenantry_creations_total{outcome=\"failed\"}",
        "tenantry_creations_total{outcome=\"spare\"}",
        "tenantry_spares_ready",
    ] {
        assert_eq!(value(&before, series), Some(0.0), "{series}: it is there before the first");
    }
    assert!(!before.contains("tenantry_tenants"), "nobody has asked the database");
    let files = Files::new(&[("0001_notes.sql", "create table notes (id int);")]);
    let provisioner = manager.provisioner().tenants(files.read());
    provisioner.fill_spares(2).await?;
    provisioner.create("spare", CreateOptions::default()).await?;
    provisioner.create("whole", CreateOptions::default().use_spare(false)).await?;
    provisioner
        .create("steps", CreateOptions::default().keep_failed(true).use_spare(false))
        .await?;
    let again = provisioner.create("whole", CreateOptions::default()).await;
    assert_eq!(again.expect_err("it is there").kind(), ErrorKind::TenantExists);
    provisioner.suspend("steps").await?;
    files.write("0002_more.sql", "alter table notes add more int;");
    files.write(
        "0003_fails.sql",
        "select 1 / (case when current_schema() like '%whole' then 0 else 1 end);",
    );
    let migrator = manager.migrator().tenants(files.read());
    let options = MigrateOptions::default;
    assert_eq!(migrator.migrate_all(options().on_failure(OnFailure::Continue)).await?.failed, 1);
    assert_eq!(migrator.mark_applied(Schemas::AllTenants, None, options()).await?.marked, 1);
    assert_eq!(migrator.migrate_all(options()).await?.up_to_date, 3);
    let text = text(&registry);
    for (series, expected) in [
        ("tenantry_creations_total{outcome=\"spare\"}", 1.0),
        ("tenantry_creations_total{outcome=\"at_once\"}", 1.0),
        ("tenantry_creations_total{outcome=\"in_steps\"}", 1.0),
        ("tenantry_creations_total{outcome=\"failed\"}", 1.0),
        ("tenantry_creation_seconds_count", 4.0),
        ("tenantry_migrations_total{outcome=\"migrated\"}", 2.0),
        ("tenantry_migrations_total{outcome=\"failed\"}", 1.0),
        ("tenantry_migrations_total{outcome=\"marked\"}", 1.0),
        // Two had nothing to be marked, and then nobody had anything to do.
        ("tenantry_migrations_total{outcome=\"up_to_date\"}", 5.0),
        ("tenantry_migration_seconds_count", 4.0),
        ("tenantry_tenants{state=\"active\"}", 2.0),
        ("tenantry_tenants{state=\"suspended\"}", 1.0),
        ("tenantry_spares_ready", 1.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series}\n{text}");
    }
    check_with_promtool(&text);
    let json = serde_json::to_value(manager.metrics())?;
    assert_eq!(json["upkeep"]["creations"]["spare"], 1);
    assert_eq!(json["upkeep"]["migrations"]["migrated"], 2);
    assert_eq!(json["upkeep"]["tenants"], serde_json::json!({ "active": 2, "suspended": 1 }));
    assert_eq!(json["upkeep"]["sparesReady"], 1);
    assert_eq!(json["upkeep"]["driftedTenants"], 0);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn tenant_labels_are_bounded_and_vanish_with_the_tenant_pool() -> TestResult {
    let ids: Vec<_> = (0..8).map(|nth| format!("t{nth}")).collect();
    let names: Vec<_> = ids.iter().map(String::as_str).collect();
    let world = World::with_tenants(&names).await;
    let manager = world.with_pool(|options| options.max_connections = 3);
    let registry = registry(&manager, MetricsOptions::default().tenant_labels(2));
    let series = |text: &str| -> Vec<String> {
        let start = "tenantry_tenant_acquires_total{tenant=\"";
        let names = text.lines().filter_map(|line| line.strip_prefix(start));
        names.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    };
    for (nth, id) in ids.iter().enumerate() {
        let db = manager.tenant(id.as_str()).await?;
        for _ in 0..=nth {
            name_of(&db).await?;
        }
    }
    let first = text(&registry);
    assert_eq!(series(&first), ["_other", "t6", "t7"]);
    let sum = |text: &str| -> f64 {
        text.lines()
            .filter(|line| line.starts_with("tenantry_tenant_acquires_total{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    };
    assert_eq!(sum(&first), 36.0);
    name_of(&manager.tenant("t7").await?).await?;
    let second = text(&registry);
    assert_eq!(value(&second, "tenantry_tenant_acquires_total{tenant=\"t7\"}"), Some(1.0));
    check_with_promtool(&second);
    for id in &ids {
        manager.evict(id);
    }
    eventually("all series are gone", async || series(&text(&registry)) == ["_other"]).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_collector_keeps_no_manager_alive_and_two_do_not_disturb_each_other() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let (one, two) = (
        registry(&manager, MetricsOptions::default()),
        registry(&manager, MetricsOptions::default()),
    );
    name_of(&manager.tenant("acme").await?).await?;
    at_rest(&manager).await;
    for _ in 0..3 {
        assert_eq!(
            value(&text(&one), "tenantry_acquires_total{outcome=\"open\"}"),
            value(&text(&two), "tenantry_acquires_total{outcome=\"open\"}"),
        );
    }
    manager.close().await;
    assert!(text(&one).contains("tenantry_connections{state=\"idle\"} 0"));
    drop(manager);
    assert!(!text(&one).contains("tenantry_connections"));
    Ok(())
}

#[tokio::test]
async fn a_collector_can_be_written_without_a_registry_whatever_was_checked() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let collector = manager.collector(MetricsOptions::default().tenant_labels(3).runtime(true));
    let write = || TextEncoder::new().encode_to_string(&collector.collect());
    assert!(!write()?.contains("tenantry_health_status"));
    drop(manager.health(HealthOptions::default().tenants(HealthOf::Nobody)).await);
    assert!(write()?.contains("tenantry_health_status 1"));
    assert!(!write()?.contains("tenantry_health_pools"));
    drop(manager.health(HealthOptions::default()).await);
    assert!(write()?.contains("tenantry_health_pools{status=\"ok\"} 0"));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_snapshot_serialises_to_what_the_guide_shows() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let json = serde_json::to_value(manager.metrics())?;
    assert_eq!(json["shared"]["initialized"], false);
    name_of(&manager.tenant("acme").await?).await?;
    manager.shared().ping().await?;
    at_rest(&manager).await;
    let json = serde_json::to_value(manager.metrics())?;
    assert_eq!(json["pools"]["total"], 1);
    assert_eq!(json["pools"]["maxPools"], 10_000);
    let acme = serde_json::json!({
        "tenantId": "acme", "schemaName": "tenant_acme",
        "connections": { "total": 1, "idle": 1, "waiting": 0 },
    });
    assert_eq!(json["pools"]["tenants"], serde_json::json!([acme]));
    assert_eq!(json["shared"]["connections"]["total"], 1);
    assert!(json["timestamp"].is_string());
    manager.close().await;
    Ok(())
}

fn all_acquires(manager: &TenantManager) -> u64 {
    let of = manager.snapshot().acquires;
    of.hit + of.rebind + of.open + of.timeout + of.refused + of.failed
}

/// Not once for every connection that it was given.
#[tokio::test]
async fn an_acquire_is_counted_once_whatever_comes_of_it() -> TestResult {
    let server = private_server(&["acme", "globex"]).await;
    let proxy = Proxy::before(server.port()).await;
    let manager = TenantManager::builder(proxy.url())
        .pool_options(pool_options(|options| {
            options.max_connections = 2;
            options.max_connections_per_tenant = Some(2);
            options.max_waiting_per_tenant = 1;
            options.acquire_timeout = Duration::from_millis(300);
            options.liveness_check_after = Duration::ZERO;
        }))
        .build()?;
    let acme = manager.tenant("acme").await?;
    let globex = manager.tenant("globex").await?;
    let pid = pid_of(&acme).await?;
    at_rest(&manager).await;
    let before = all_acquires(&manager);

    // The idle connection is found to be dead, and another one is opened.
    kill(&mut connect(&server.url()).await, pid).await;
    drop(acme.acquire().await?);
    at_rest(&manager).await;
    assert_eq!(all_acquires(&manager), before + 1, "{:?}", manager.snapshot().acquires);

    // One that was given a connection, and then waits in vain for what the server says on it.
    proxy.set(Mode::BlackHole);
    assert!(acme.acquire().await.is_err());
    proxy.set(Mode::Cut);
    proxy.set(Mode::Pass);
    let acquires = manager.snapshot().acquires;
    assert_eq!((all_acquires(&manager), acquires.timeout), (before + 2, 1), "{acquires:?}");

    // Two have all there is; one waits in vain, and one has no place to wait.
    eventually("the server is there again", async || acme.acquire().await.is_ok()).await;
    at_rest(&manager).await;
    let before = (all_acquires(&manager), manager.snapshot().acquires);
    let held = (acme.acquire().await?, globex.acquire().await?);
    let (one, two) = tokio::join!(acme.acquire(), acme.acquire());
    assert!(one.is_err() && two.is_err());
    drop(held);
    let acquires = manager.snapshot().acquires;
    assert_eq!(all_acquires(&manager), before.0 + 4, "{acquires:?}");
    assert_eq!(acquires.timeout, before.1.timeout + 1, "{acquires:?}");
    assert_eq!(acquires.refused, before.1.refused + 1, "{acquires:?}");
    at_rest(&manager).await;

    // Another schema has the name.
    let mut admin = connect(&server.url()).await;
    run(&mut admin, "drop schema tenant_globex cascade; create schema tenant_globex").await;
    drop((acme.acquire().await?, acme.acquire().await?));
    at_rest(&manager).await;
    assert!(globex.acquire().await.is_err(), "its handle is stale");
    let acquires = manager.snapshot().acquires;
    assert_eq!(all_acquires(&manager), before.0 + 7, "{acquires:?}");
    assert_eq!(acquires.failed, before.1.failed + 1, "{acquires:?}");
    manager.close().await;
    Ok(())
}

/// At whatever time somebody looks, the gauges fit together and no counter has gone back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gauges_fit_together_and_counters_only_grow_under_load() -> TestResult {
    let ids: Vec<_> = (0..12).map(|nth| format!("t{nth}")).collect();
    let names: Vec<_> = ids.iter().map(String::as_str).collect();
    let world = World::with_tenants(&names).await;
    let manager = world.with_pool(|options| {
        options.max_connections = 10;
        options.acquire_timeout = Duration::from_secs(30);
    });
    let registry = registry(&manager, MetricsOptions::default().tenant_labels(3));
    let mut tasks: JoinSet<sqlx::Result<()>> = JoinSet::new();
    for id in &ids {
        let db = manager.tenant(id.as_str()).await?;
        for _ in 0..3 {
            let db = db.clone();
            tasks.spawn(async move {
                for _ in 0..40 {
                    name_of(&db).await?;
                }
                Ok(())
            });
        }
    }
    let mut before: std::collections::BTreeMap<String, f64> = Default::default();
    let mut looks = 0;
    while !tasks.is_empty() {
        while let Some(done) = tasks.try_join_next() {
            done??;
        }
        let text = text(&registry);
        let sum = |name: &str| -> f64 {
            let lines = text.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        let max = value(&text, "tenantry_connections_max").expect("it is there");
        assert!(sum("tenantry_connections{") <= max, "{text}");
        assert!(sum("tenantry_tenant_leases ") <= sum("tenantry_tenant_leases_max "), "{text}");
        let leased = value(&text, "tenantry_connections{state=\"leased\"}");
        assert!(Some(sum("tenantry_tenant_leases ")) <= leased, "{text}");
        for line in
            text.lines().filter(|line| line.starts_with("tenantry_") && line.contains("_total"))
        {
            let (series, count) = line.rsplit_once(' ').expect("a sample");
            // A series of a tenant that was not among the busiest begins anew.
            if series.contains("tenant=\"t") {
                continue;
            }
            let count: f64 = count.parse()?;
            let last = before.insert(series.to_owned(), count).unwrap_or_default();
            assert!(count >= last, "{series}: {last}, then {count}");
        }
        looks += 1;
        tokio::task::yield_now().await;
    }
    assert!(looks > 3, "nobody looked");
    manager.close().await;
    Ok(())
}
