//! Tenants on several servers: each server has a pool of its own, and what happens to it concerns its tenants only.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use prometheus::{Registry, TextEncoder};
use tenantry::{
    CatalogOptions, ErrorKind, Event, FixedCatalog, HealthOf, HealthOptions, HealthReport,
    HealthStatus, ManagerBuilder, MetricsOptions, PoolOptions, Pooling, ServerOptions,
    TableCatalog, TenantId, TenantManager, TenantRecord, WarmUp,
};
use tenantry_devdb::DevServer;

use crate::support::{
    TestResult, connect, eventually, kind_of, name_of, pool_options, private_server, run, sessions,
};

fn record(id: &str, server: Option<&str>) -> TenantRecord {
    let record = TenantRecord::new(TenantId::parse(id).expect("the id is valid"));
    match server {
        Some(server) => record.server(server),
        None => record,
    }
}

/// Two servers that have a schema of the same name, each with the name of its server in it.
async fn two() -> (DevServer, DevServer) {
    let servers = (private_server(&["acme"]).await, private_server(&["globex"]).await);
    for (server, name) in [(&servers.0, "main"), (&servers.1, "eu-1")] {
        let mut admin = connect(&server.url()).await;
        run(
            &mut admin,
            &format!(
                "create schema same; create table same.users (id int primary key, name text); \
            insert into same.users values (1, '{name}')"
            ),
        )
        .await;
    }
    servers
}

fn quick(options: &mut PoolOptions) {
    options.connect_timeout = Duration::from_millis(500);
    options.acquire_timeout = Duration::from_secs(2);
}

fn builder(main: &DevServer, other: &DevServer) -> ManagerBuilder {
    let same = tenantry::Ident::parse("same").expect("the name is an identifier");
    TenantManager::builder(main.url())
        .server(
            "eu-1",
            ServerOptions::new(other.url()).pool_options(pool_options(|options| {
                quick(options);
                options.max_connections = 2;
            })),
        )
        .pool_options(pool_options(quick))
        .max_connections(3)
        .catalog(FixedCatalog::new([
            record("acme", None),
            record("globex", Some("eu-1")),
            record("one", Some("main")).container(same.clone()),
            record("other", Some("eu-1")).container(same),
            record("nowhere", Some("mars")),
        ]))
}

#[tokio::test]
async fn each_tenant_is_served_by_its_server() -> TestResult {
    let (main, eu) = two().await;
    let manager = builder(&main, &eu).build()?;
    for _ in 0..3 {
        for (id, name) in
            [("acme", "acme"), ("globex", "globex"), ("one", "main"), ("other", "eu-1")]
        {
            let db = manager.tenant(id).await?;
            assert_eq!(name_of(&db).await?, name);
        }
    }
    let placement = manager.tenant("globex").await?.tenant().placement().clone();
    assert_eq!((placement.server(), placement.epoch()), ("eu-1", 1));
    let error = manager.tenant("nowhere").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Placement);
    assert!(error.to_string().contains("the server \"mars\", which is not configured"), "{error}");
    assert!(error.to_string().contains("there are eu-1, main"), "{error}");
    manager.close().await;
    assert_eq!(sessions(&mut connect(&eu.url()).await).await, 0, "close waits for every server");
    Ok(())
}

#[tokio::test]
async fn each_server_has_its_own_budget() -> TestResult {
    let (main, eu) = two().await;
    let manager = builder(&main, &eu).build()?;
    let work = (0..20).map(|n| {
        let manager = manager.clone();
        async move {
            let db = manager.tenant(["acme", "globex", "one", "other"][n % 4]).await?;
            sqlx::query("select pg_sleep(0.02)").execute(&db).await?;
            Ok::<_, Box<dyn std::error::Error>>(())
        }
    });
    let watch = async {
        let (mut at_main, mut at_eu) = (connect(&main.url()).await, connect(&eu.url()).await);
        let mut most = (0, 0);
        for _ in 0..10 {
            most.0 = most.0.max(sessions(&mut at_main).await);
            most.1 = most.1.max(sessions(&mut at_eu).await);
        }
        most
    };
    let (done, most) = tokio::join!(futures_util::future::join_all(work), watch);
    done.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert!(most.0 <= 3 && most.1 <= 2 && most.1 > 0, "{most:?}");
    let snapshots = manager.snapshots();
    assert_eq!(snapshots.keys().collect::<Vec<_>>(), ["eu-1", "main"]);
    assert_eq!((snapshots["main"].max, snapshots["eu-1"].max), (3, 2));
    assert!(
        snapshots["eu-1"]
            .tenants
            .iter()
            .all(|pool| ["globex", "other"].contains(&pool.tenant.as_str()))
    );
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_server_is_not_connected_to_before_its_first_use() -> TestResult {
    let main = private_server(&["acme"]).await;
    let manager = TenantManager::builder(main.url())
        .server("eu-1", "postgres://nobody@127.0.0.1:1/nothing")
        .catalog(FixedCatalog::new([record("acme", None), record("globex", Some("eu-1"))]))
        .pool_options(pool_options(quick))
        .build()?;
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    let began = Instant::now();
    let error = name_of(&manager.tenant("globex").await?).await.unwrap_err();
    assert_eq!(kind_of(error), ErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(
        name_of(&manager.tenant("acme").await?).await?,
        "acme",
        "it concerns its own tenants only"
    );
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_away_concerns_its_tenants_only() -> TestResult {
    let (main, eu) = two().await;
    let manager = builder(&main, &eu).build()?;
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    for db in [&acme, &globex] {
        name_of(db).await?;
    }
    for (away, there, lost) in [(&eu, &acme, &globex), (&main, &globex, &acme)] {
        away.stop_now().await?;
        name_of(lost).await.unwrap_err();
        for _ in 0..20 {
            name_of(there).await?;
        }
        // The handle of another server's tenant is also found anew.
        name_of(&manager.tenant(there.tenant().id().as_str()).await?).await?;
        away.start_again().await?;
        eventually("it is served again", async || name_of(lost).await.is_ok()).await;
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn metrics_have_a_series_for_each_server() -> TestResult {
    let (main, eu) = two().await;
    let manager = builder(&main, &eu).build()?;
    let registry = Registry::new();
    registry.register(Box::new(manager.collector(MetricsOptions::default().tenant_labels(5))))?;
    name_of(&manager.tenant("globex").await?).await?;
    let text = TextEncoder::new().encode_to_string(&registry.gather())?;
    for line in [
        "tenantry_connections_max{server=\"eu-1\"} 2",
        "tenantry_connections_max{server=\"main\"} 3",
        "tenantry_acquires_total{outcome=\"open\",server=\"eu-1\"} 0",
        "tenantry_acquires_total{outcome=\"open\",server=\"main\"} 0",
        "tenantry_tenant_acquires_total{server=\"eu-1\",tenant=\"globex\"} 0",
    ] {
        let line = line.replace("} 0", "}");
        assert!(text.contains(&line), "{line} is not in {text}");
    }
    assert_eq!(text.matches("# TYPE tenantry_connections_max gauge").count(), 1);
    let metrics = manager.metrics();
    assert_eq!(metrics.servers.keys().collect::<Vec<_>>(), ["eu-1", "main"]);
    let (of_main, of_eu) = (&metrics.servers["main"], &metrics.servers["eu-1"]);
    assert_eq!((of_main.max_connections, of_eu.max_connections), (3, 2));
    assert_eq!((&of_main.pools, of_main.connections), (&metrics.pools, metrics.connections));
    assert_eq!(of_eu.pools.tenants[0].tenant_id.as_str(), "globex");
    assert!(of_eu.connections.total >= 1, "{metrics:?}");
    eu.stop_now().await?;
    for _ in 0..10 {
        name_of(&manager.tenant("globex").await?).await.unwrap_err();
    }
    let metrics = manager.metrics();
    assert_ne!(metrics.servers["eu-1"].breaker.as_str(), "closed", "{metrics:?}");
    assert_eq!(metrics.servers["main"].breaker.as_str(), "closed", "{metrics:?}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn events_name_the_server() -> TestResult {
    let (main, eu) = two().await;
    let told = Arc::new(Mutex::new(Vec::<Event>::new()));
    let hook = Arc::clone(&told);
    let manager =
        builder(&main, &eu).on_event(move |event: Event| hook.lock().unwrap().push(event));
    let manager = manager.build()?;
    for tenant in ["acme", "globex"] {
        name_of(&manager.tenant(tenant).await?).await?;
    }
    let report = manager.warm_up(["acme", "globex", "other", "one"], WarmUp::default()).await;
    assert_eq!((report.succeeded, report.already_warm), (2, 2), "{report:?}");
    eu.stop_now().await?;
    for _ in 0..3 {
        name_of(&manager.tenant("globex").await?).await.unwrap_err();
    }
    manager.close().await;
    let told = told.lock().unwrap();
    for (tenant, server) in
        [("acme", "main"), ("globex", "eu-1"), ("other", "eu-1"), ("one", "main")]
    {
        let of_it: Vec<_> = told.iter().filter(|event| event.tenant() == Some(tenant)).collect();
        assert!(of_it.iter().any(|event| matches!(event, Event::WarmUp(_))), "{tenant}");
        for event in of_it {
            assert_eq!(event.server(), Some(server), "{event}");
            assert!(event.to_string().starts_with(&format!("tenant={tenant} server={server} ")));
            assert_eq!(serde_json::to_value(event)?["server"], server);
        }
    }
    let is_of_eu = |event: &&Event| event.tenant().is_none() && event.server() == Some("eu-1");
    let of_eu: Vec<_> = told.iter().filter(is_of_eu).map(ToString::to_string).collect();
    assert!(of_eu.iter().any(|line| line.starts_with("server=eu-1 ")), "{of_eu:?} {told:?}");
    Ok(())
}

#[tokio::test]
async fn one_server_has_no_name_in_events_and_health() -> TestResult {
    let main = private_server(&["acme"]).await;
    let told = Arc::new(Mutex::new(Vec::<Event>::new()));
    let hook = Arc::clone(&told);
    let manager = TenantManager::builder(main.url())
        .on_event(move |event: Event| hook.lock().unwrap().push(event))
        .build()?;
    name_of(&manager.tenant("acme").await?).await?;
    let health = serde_json::to_value(manager.health(HealthOptions::default()).await)?;
    assert!(health.get("servers").is_none() && health["pools"][0].get("server").is_none());
    manager.close().await;
    let told = told.lock().unwrap();
    assert!(!told.is_empty() && told.iter().all(|event| event.server().is_none()));
    Ok(())
}

fn of_all() -> HealthOptions {
    let ids = ["acme", "globex", "one", "other"].map(|id| TenantId::parse(id).expect("an id"));
    let options = HealthOptions::default().ping_timeout(Duration::from_secs(2));
    options.tenants(HealthOf::These(ids.to_vec()))
}

#[tokio::test]
async fn health_names_the_server_that_is_away() -> TestResult {
    let (main, eu) = two().await;
    let manager = builder(&main, &eu).build()?;
    let statuses = |report: &HealthReport| {
        let servers = report.servers.iter().map(|of| (of.server.to_string(), of.status));
        servers.collect::<Vec<_>>()
    };
    let (ok, gone) = (HealthStatus::Ok, HealthStatus::Unhealthy);
    let well = manager.health(of_all()).await;
    assert!(well.healthy && well.unhealthy_pools == 0, "{well:?}");
    assert_eq!(statuses(&well), [("main".into(), ok), ("eu-1".into(), ok)]);
    assert!(well.servers.iter().all(|of| of.response_time.is_some() && of.reason.is_none()));
    let version: String = sqlx::query_scalar("select current_setting('server_version')")
        .fetch_one(&mut connect(&eu.url()).await)
        .await?;
    let version = version.split_whitespace().next().map(str::to_owned);
    for server in &well.servers {
        assert_eq!(server.server_version, version, "{well:?}");
        assert_eq!(server.pooling, Pooling::Session, "{well:?}");
    }
    let hidden = well.clone().without_tenants();
    assert!(hidden.servers.iter().all(|of| of.server_version.is_none()), "{hidden:?}");

    eu.stop_now().await?;
    let report = manager.health(of_all()).await;
    assert_eq!((report.healthy, report.status), (true, HealthStatus::Degraded), "{report:?}");
    assert_eq!(statuses(&report), [("main".into(), ok), ("eu-1".into(), gone)]);
    assert!(report.servers[1].reason.is_some());
    let shared = report.shared_db.as_ref().map(|shared| shared.status);
    assert_eq!(shared, Some(ok), "the shared schema is on the main server");
    assert_eq!((report.total_pools, report.unhealthy_pools), (4, 2));
    for pool in &report.pools {
        let away = ["globex", "other"].contains(&pool.tenant_id.as_str());
        assert_eq!(pool.status == gone, away, "{pool:?}");
        assert_eq!(pool.server.as_deref(), Some(if away { "eu-1" } else { "main" }));
    }
    // A readiness probe neither fails nor waits for it.
    let began = Instant::now();
    let probe = HealthOptions::default().tenants(HealthOf::Nobody);
    assert!(manager.health(probe).await.healthy);
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    manager.close().await;
    Ok(())
}

/// The catalog is on the server that is away, and its answers are older than they may get.
#[tokio::test]
async fn tenants_of_other_servers_are_served_while_the_control_server_is_away() -> TestResult {
    let (main, eu) = two().await;
    let ttl = Duration::from_millis(100);
    let manager = builder(&main, &eu)
        .catalog(TableCatalog::new())
        .catalog_options(CatalogOptions::default().ttl(ttl).timeout(Duration::from_millis(500)))
        .build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    let insert = "insert into tenants (id, server) values ('globex', 'eu-1'), ('acme', null)";
    run(&mut connect(&main.url()).await, insert).await;
    let health = || manager.health(HealthOptions::default().ping_timeout(Duration::from_secs(1)));
    name_of(&manager.tenant("globex").await?).await?;
    main.stop_now().await?;
    for _ in 0..10 {
        tokio::time::sleep(ttl).await;
        let began = Instant::now();
        assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex");
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
    manager.tenant("never-seen").await.expect_err("nobody knows of it");
    let report = health().await;
    assert!(!report.healthy, "new tenants cannot be found: {report:?}");
    let globex = report.pools.iter().find(|pool| pool.tenant_id.as_str() == "globex");
    assert_ne!(globex.map(|pool| pool.status), Some(HealthStatus::Unhealthy), "{report:?}");
    main.start_again().await?;
    eventually("all is well", async || health().await.healthy).await;
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    manager.close().await;
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_when_the_manager_is_built() {
    for (servers, told) in [
        (vec![("main", "postgres://a@h/d")], "server main: there already is one of this name"),
        (
            vec![("a", "postgres://a@h/d"), ("a", "postgres://a@i/d")],
            "server a: there already is one",
        ),
        (vec![("", "postgres://a@h/d")], "server \"\": a name is 1 to 63 letters"),
        (vec![("a b", "postgres://a@h/d")], "server \"a b\": a name is"),
        (vec![("a", "mysql://a@h/d")], "server a: "),
        (vec![("a", "postgres://a:secret@h/d?nonsense=1")], "nonsense"),
    ] {
        let mut builder = TenantManager::builder("postgres://app@localhost/saas");
        for (name, url) in servers {
            builder = builder.server(name, url);
        }
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(told) && !error.contains("secret"), "{error}");
    }
}
