//! `/metrics` is what Prometheus reads.

use actix_web::{App, http::StatusCode, web};
use prometheus::{
    IntCounter, Registry,
    core::{Collector, Desc},
    proto::{Metric, MetricFamily},
};
use tenantry_actix::{Db, DbError, OpsScope, TenantMiddleware, ops_scope};

use super::{alone, open, talkative, use_tenants};
use crate::support::{TestResult, World, ask, get, get_without_tenant, serve};

async fn name(Db(db): Db) -> Result<String, DbError> {
    Ok(sqlx::query_scalar("select name from users").fetch_one(&db).await?)
}

/// Whichever worker answers, the figures are those of all.
#[tokio::test]
async fn counts_what_requests_to_all_workers_do() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let served = manager.clone();
    let app = serve!(
        App::new().service(ops_scope(served.clone())).service(
            web::scope("")
                .wrap(TenantMiddleware::new(served.clone()))
                .route("/name", web::get().to(name))
        )
    );
    for _ in 0..5 {
        assert_eq!(get(&app, "/name", "acme").await.body, "acme");
    }
    for _ in 0..4 {
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
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn is_the_text_format_whatever_is_accepted() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = open(&manager)?;
    let openmetrics = "application/openmetrics-text;version=1.0.0,text/plain;q=0.1";
    for accept in ["*/*", openmetrics, "application/vnd.google.protobuf"] {
        let request = format!("GET /metrics HTTP/1.1\r\nhost: x\r\naccept: {accept}");
        let answer = ask(&app, request).await;
        assert_eq!(answer.status, StatusCode::OK);
        let text = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(answer.header("content-type"), Some(text));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
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
    let (hidden, shown) = (open(&manager)?, alone(talkative(&manager)?)?);
    get_without_tenant(&shown, "/metrics").await;
    use_tenants(&manager, &["acme"]).await;
    let line = r#"tenantry_tenant_connections{state="idle",tenant="acme"} 1"#;
    assert!(get_without_tenant(&shown, "/metrics").await.body.contains(line));
    assert!(!get_without_tenant(&hidden, "/metrics").await.body.contains("acme"));
    manager.close().await;
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
    let scope = || OpsScope::new(manager.clone()).registry(registry.clone());
    let app = alone(scope().into_service()?)?;
    for _ in 0..4 {
        let metrics = get_without_tenant(&app, "/metrics").await.body;
        assert!(metrics.contains("\norders_total 7\n"), "{metrics}");
        assert!(metrics.contains("\ntenantry_connections_max 20\n"), "{metrics}");
    }

    let again = scope().into_service().unwrap_err();
    assert!(again.to_string().contains("already"), "{again}");
    assert!(std::error::Error::source(&again).is_some());
    manager.close().await;
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
    let app = alone(OpsScope::new(manager.clone()).registry(registry).into_service()?)?;
    let answer = get_without_tenant(&app, "/metrics").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.problem()["title"], "Internal Server Error");
    assert!(app.log.text().contains("the metrics cannot be written"), "{}", app.log.text());
    manager.close().await;
    Ok(())
}
