//! `/metrics` is what Prometheus scrapes.

use actix_web::{App, http::StatusCode, web};
use prometheus::Registry;
use tenantry_acceptance::ops::{BrokenCollector, assert_five_requests};
use tenantry_actix::{Db, DbError, OpsScope, TenantMiddleware, ops_scope};

use super::alone;
use crate::support::{TestResult, World, get, get_without_tenant, serve};

async fn name(Db(db): Db) -> Result<String, DbError> {
    Ok(sqlx::query_scalar("select name from users").fetch_one(&db).await?)
}

/// Every worker reports the metrics of all workers.
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
        assert_five_requests(&get_without_tenant(&app, "/metrics").await.body);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn of_a_broken_collector_is_500_and_logged() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let registry = Registry::new();
    registry.register(Box::new(BrokenCollector::new("secret_total")?))?;
    let app = alone(OpsScope::new(manager.clone()).registry(registry).into_service()?)?;
    let answer = get_without_tenant(&app, "/metrics").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.problem()["title"], "Internal Server Error");
    assert!(app.log.text().contains("the metrics cannot be written"), "{}", app.log.text());
    manager.close().await;
    Ok(())
}
