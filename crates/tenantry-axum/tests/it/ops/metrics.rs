//! `/metrics` is what Prometheus scrapes.

use axum::{Router, http::StatusCode, routing::get as on_get};
use prometheus::Registry;
use tenantry::MetricsOptions;
use tenantry_acceptance::ops::{BrokenCollector, assert_five_requests};
use tenantry_axum::{Db, DbError, OpsRoutes, TenantLayer, ops_routes};

use crate::support::{Log, TestResult, World, get, get_without_tenant};

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
    assert_five_requests(&get_without_tenant(&app, "/metrics").await.body);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn of_a_broken_collector_is_500_and_logged() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let registry = Registry::new();
    registry.register(Box::new(BrokenCollector::new("secret_total")?))?;
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
