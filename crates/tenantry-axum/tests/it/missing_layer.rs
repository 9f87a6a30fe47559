//! A handler outside of the layer: the log names what is missing, the client learns nothing.

use axum::{Router, http::StatusCode, routing::get as on_get};
use tenantry_axum::{CurrentTenant, Db, Shared, TenantLayer, Tx};

use crate::support::{Log, TestResult, get, get_without_tenant, offline};

#[tokio::test]
async fn is_a_500_that_the_log_explains() -> TestResult {
    let app = Router::new()
        .route("/db", on_get(async |_: Db| ()))
        .route("/tx", on_get(async |_: Tx| ()))
        .route("/shared", on_get(async |_: Shared| ()))
        .route("/tenant", on_get(async |_: CurrentTenant| ()))
        .route("/maybe-db", on_get(async |_: Option<Db>| ()))
        .route("/maybe-tx", on_get(async |_: Option<Tx>| ()))
        .route("/maybe-tenant", on_get(async |_: Option<CurrentTenant>| ()));
    for path in ["/db", "/tx", "/shared", "/tenant", "/maybe-db", "/maybe-tx", "/maybe-tenant"] {
        let log = Log::capture();
        let answer = get(&app, path, "acme").await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        answer.problem();
        assert!(!answer.body.to_lowercase().contains("layer"), "{}", answer.body);
        assert!(!answer.body.to_lowercase().contains("tenant"), "{}", answer.body);
        assert!(log.text().contains("ERROR"), "{}", log.text());
        assert!(log.text().contains("TenantLayer"), "{}", log.text());
    }
    Ok(())
}

#[tokio::test]
async fn is_no_trouble_for_routes_without_a_tenant() -> TestResult {
    let app = Router::new()
        .route("/tenant", on_get(async |_: CurrentTenant| "a tenant"))
        .layer(TenantLayer::new(offline(["acme"])))
        .route("/health", on_get(async || "ok"));
    assert_eq!(get_without_tenant(&app, "/health").await.body, "ok");
    assert_eq!(get(&app, "/health", "nobody").await.body, "ok");
    assert_eq!(get(&app, "/tenant", "acme").await.body, "a tenant");
    let without = get_without_tenant(&app, "/tenant").await;
    assert_eq!(without.status, StatusCode::BAD_REQUEST);
    Ok(())
}

#[tokio::test]
async fn paths_that_no_route_matches_are_covered_unless_it_is_a_route_layer() -> TestResult {
    let layer = TenantLayer::new(offline(["acme"]));
    let routes = Router::new().route("/tenant", on_get(async |_: CurrentTenant| "a tenant"));
    let covered = routes.clone().layer(layer.clone());
    let uncovered = routes.route_layer(layer);
    for (app, status) in [(covered, StatusCode::BAD_REQUEST), (uncovered, StatusCode::NOT_FOUND)] {
        assert_eq!(get_without_tenant(&app, "/nowhere").await.status, status);
        assert_eq!(get(&app, "/nowhere", "acme").await.status, StatusCode::NOT_FOUND);
        assert_eq!(get(&app, "/tenant", "acme").await.body, "a tenant");
        assert_eq!(get_without_tenant(&app, "/tenant").await.status, StatusCode::BAD_REQUEST);
    }
    Ok(())
}
