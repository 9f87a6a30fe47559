//! `/metrics` is what Prometheus reads.

use std::{
    io::{ErrorKind, Write},
    process::{Command, Stdio},
};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
    routing::get as on_get,
};
use prometheus::{
    IntCounter, Registry,
    core::{Collector, Desc},
    proto::{Metric, MetricFamily},
};
use tenantry::MetricsOptions;
use tenantry_axum::{Db, DbError, OpsRoutes, TenantLayer, ops_routes};

use super::{talkative, use_tenants};
use crate::support::{Log, TestResult, World, get, get_without_tenant, send};

async fn name(Db(db): Db) -> Result<String, DbError> {
    Ok(sqlx::query_scalar("select name from users").fetch_one(&db).await?)
}

#[tokio::test]
async fn counts_what_requests_do() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = Router::new()
        .route("/name", on_get(name))
        .layer(TenantLayer::new(manager.clone()))
        .merge(ops_routes(manager.clone()));
    for _ in 0..5 {
        assert_eq!(get(&app, "/name", "acme").await.body, "acme");
    }
    let metrics = get_without_tenant(&app, "/metrics").await.body;
    for line in [
        "# TYPE tenantry_acquires_total counter",
        "tenantry_acquires_total{outcome=\"open\"} 1",
        "tenantry_acquires_total{outcome=\"hit\"} 4",
        "tenantry_query_duration_seconds_count 5",
        "tenantry_tenant_pools 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in:\n{metrics}");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn is_the_text_format_whatever_is_accepted() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = ops_routes(manager.clone());
    let openmetrics = "application/openmetrics-text;version=1.0.0,text/plain;q=0.1";
    for accept in ["*/*", openmetrics, "application/vnd.google.protobuf"] {
        let request = Request::get("/metrics").header("accept", accept).body(Body::empty())?;
        let answer = send(&app, request).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(answer.body.starts_with("# HELP "), "{}", answer.body);
        assert!(answer.body.ends_with('\n'));
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn names_tenants_when_asked_to() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let (hidden, shown) = (ops_routes(manager.clone()), talkative(&manager)?);
    get_without_tenant(&shown, "/metrics").await;
    use_tenants(&manager, &["acme"]).await;
    let line = r#"tenantry_tenant_connections{state="idle",tenant="acme"} 1"#;
    assert!(get_without_tenant(&shown, "/metrics").await.body.contains(line));
    assert!(!get_without_tenant(&hidden, "/metrics").await.body.contains("acme"));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn is_to_the_taste_of_promtool() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = talkative(&manager)?;
    use_tenants(&manager, &["acme", "globex"]).await;
    assert_eq!(get_without_tenant(&app, "/health").await.status, StatusCode::OK);
    let metrics = get_without_tenant(&app, "/metrics").await.body;
    manager.close().await;

    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let promtool = promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: there is no promtool on this machine");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let mut stdin = promtool.stdin.take().expect("it is piped");
    stdin.write_all(metrics.as_bytes())?;
    drop(stdin);
    let verdict = promtool.wait_with_output()?;
    let said = String::from_utf8_lossy(&verdict.stderr);
    assert!(verdict.status.success() && said.is_empty(), "{said}\n{metrics}");
    Ok(())
}

#[tokio::test]
async fn shows_the_whole_of_a_registry() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let registry = Registry::new();
    let orders = IntCounter::new("orders_total", "Orders that were placed")?;
    registry.register(Box::new(orders.clone()))?;
    orders.inc_by(7);
    let routes = || OpsRoutes::new(manager.clone()).registry(registry.clone());
    let app: Router = routes().into_router()?;
    let metrics = get_without_tenant(&app, "/metrics").await.body;
    assert!(metrics.contains("\norders_total 7\n"), "{metrics}");
    assert!(metrics.contains("\ntenantry_connections_max 20\n"), "{metrics}");

    let again = routes().into_router::<()>().unwrap_err();
    assert!(again.to_string().contains("already"), "{again}");
    assert!(std::error::Error::source(&again).is_some());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn goes_into_a_registry_beside_another_manager_under_a_label() -> TestResult {
    let world = World::new().await;
    let managers = [world.manager(), world.manager()];
    for (manager, region) in managers.iter().zip(["eu", "us"]) {
        let labels = [("region".to_owned(), region.to_owned())].into();
        let registry = Registry::new_custom(None, Some(labels))?;
        let app: Router = OpsRoutes::new(manager.clone()).registry(registry).into_router()?;
        let metrics = get_without_tenant(&app, "/metrics").await.body;
        let line = format!("tenantry_connections_max{{region=\"{region}\"}} 20");
        assert!(metrics.contains(&line), "{metrics}");
    }
    for manager in managers {
        manager.close().await;
    }
    Ok(())
}

/// A collector of somebody else's that is broken.
struct Broken(IntCounter);

impl Collector for Broken {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut nameless = MetricFamily::default();
        nameless.set_metric(vec![Metric::default()]);
        vec![nameless]
    }
}

#[tokio::test]
async fn of_a_broken_collector_is_500_and_logged() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let registry = Registry::new();
    registry.register(Box::new(Broken(IntCounter::new("secret_total", "x")?)))?;
    let app: Router = OpsRoutes::new(manager.clone())
        .metrics(MetricsOptions::default())
        .registry(registry)
        .into_router()?;
    let log = Log::capture();
    let answer = get_without_tenant(&app, "/metrics").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.problem()["title"], "Internal Server Error");
    assert!(log.text().contains("the metrics cannot be written"), "{}", log.text());
    manager.close().await;
    Ok(())
}
