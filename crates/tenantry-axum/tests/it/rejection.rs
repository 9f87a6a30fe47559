//! What a client is told when its request is refused.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get as on_get};
use serde_json::json;
use tenantry::{CatalogFn, TenantManager};
use tenantry_axum::{Rejection, RejectionKind, TenantLayer};

use crate::support::{Log, TestResult, World, get, get_without_tenant, offline};

#[tokio::test]
async fn says_what_is_wrong_with_the_tenant() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let handler = async move || count.fetch_add(1, Ordering::Relaxed).to_string();
    let app = Router::new().route("/", on_get(handler)).layer(TenantLayer::new(manager.clone()));

    let missing = get_without_tenant(&app, "/").await;
    assert_eq!(missing.status, StatusCode::BAD_REQUEST);
    assert_eq!(missing.problem_type(), "missing-tenant");

    for (tenant, status, problem, detail) in [
        ("nobody", 404, "unknown-tenant", "tenant nobody does not exist"),
        ("ACME", 404, "unknown-tenant", "tenant ACME does not exist"),
        ("frozen", 403, "suspended-tenant", "tenant frozen is suspended"),
        ("", 400, "malformed-tenant", "tenant id is empty"),
        ("public", 400, "malformed-tenant", "tenant id is a name that PostgreSQL reserves"),
        ("pg_temp", 400, "malformed-tenant", "tenant id is a name that PostgreSQL reserves"),
    ] {
        let answer = get(&app, "/", tenant).await;
        assert_eq!(answer.status.as_u16(), status, "{tenant}");
        assert_eq!(answer.problem_type(), problem);
        assert_eq!(answer.problem()["detail"], detail);
        assert!(!answer.headers.contains_key("retry-after"));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0, "the handler ran");
    assert_eq!(manager.snapshot().total, 0, "a connection was taken");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn can_be_replaced() -> TestResult {
    let layer = TenantLayer::new(offline(["acme"])).on_rejection(|rejection: &Rejection| {
        let tenant = rejection.tenant().map(ToString::to_string);
        let status = match rejection.kind() {
            RejectionKind::Unknown => StatusCode::IM_A_TEAPOT,
            _ => rejection.status(),
        };
        (status, Json(json!({ "error": tenant }))).into_response()
    });
    let app = Router::new().route("/", on_get(async || "in")).layer(layer);

    assert_eq!(get(&app, "/", "acme").await.body, "in");
    let unknown = get(&app, "/", "nobody").await;
    assert_eq!(unknown.status, StatusCode::IM_A_TEAPOT);
    assert_eq!(unknown.body, r#"{"error":"nobody"}"#);
    let missing = get_without_tenant(&app, "/").await;
    assert_eq!(
        (missing.status, missing.body.as_str()),
        (StatusCode::BAD_REQUEST, r#"{"error":null}"#)
    );
    Ok(())
}

#[tokio::test]
async fn of_a_catalog_that_fails_is_503_and_logged() -> TestResult {
    let manager = TenantManager::builder("postgres://nobody@127.0.0.1:1/nothing")
        .catalog(CatalogFn::new(async |_| Err(tenantry::Error::catalog("secret words"))))
        .build()?;
    let app = Router::new().route("/", on_get(async || ())).layer(TenantLayer::new(manager));
    let log = Log::capture();
    let answer = get(&app, "/", "acme").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "1");
    assert!(!answer.body.contains("secret words"));
    assert!(log.text().contains("secret words"), "{}", log.text());
    Ok(())
}
