//! Of two layers, the inner one decides.

use axum::{Router, http::StatusCode, routing::get as on_get};
use tenantry_axum::{CurrentTenant, TenantLayer, resolve::Header};

use crate::support::{TestResult, get, offline, send};

async fn tenant(tenant: Option<CurrentTenant>) -> String {
    match tenant {
        Some(CurrentTenant(tenant)) => tenant.id().to_string(),
        None => "none".to_owned(),
    }
}

fn app(inner: impl Fn(TenantLayer) -> TenantLayer) -> Router {
    let manager = offline(["acme", "globex"]);
    let inner = inner(TenantLayer::new(manager.clone()).resolver(Header::from_static("x-inner")));
    let outer = TenantLayer::new(manager).optional();
    Router::new().route("/", on_get(tenant)).layer(inner).layer(outer)
}

async fn ask(app: &Router, outer: Option<&str>, inner: Option<&str>) -> (StatusCode, String) {
    let mut request = axum::http::Request::get("/");
    for (name, tenant) in [("x-tenant-id", outer), ("x-inner", inner)] {
        if let Some(tenant) = tenant {
            request = request.header(name, tenant);
        }
    }
    let request = request.body(axum::body::Body::empty()).expect("the request is sound");
    let answer = send(app, request).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn the_inner_layer_wins() -> TestResult {
    let app = app(|inner| inner);
    let globex = (StatusCode::OK, "globex".to_owned());
    assert_eq!(ask(&app, Some("acme"), Some("globex")).await, globex);
    assert_eq!(ask(&app, None, Some("globex")).await, globex);
    assert_eq!(ask(&app, Some("acme"), None).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(ask(&app, Some("nobody"), Some("acme")).await.0, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn an_optional_inner_layer_takes_the_outer_tenant_away() -> TestResult {
    let app = app(TenantLayer::optional);
    let none = (StatusCode::OK, "none".to_owned());
    assert_eq!(ask(&app, Some("acme"), None).await, none);
    assert_eq!(ask(&app, None, None).await, none);
    assert_eq!(ask(&app, Some("acme"), Some("globex")).await.1, "globex");
    Ok(())
}

#[tokio::test]
async fn one_layer_covers_nested_routers() -> TestResult {
    let app = Router::new()
        .nest("/api", Router::new().route("/tenant", on_get(tenant)))
        .layer(TenantLayer::new(offline(["acme"])));
    assert_eq!(get(&app, "/api/tenant", "acme").await.body, "acme");
    assert_eq!(get(&app, "/api/tenant", "nobody").await.status, StatusCode::NOT_FOUND);
    Ok(())
}
