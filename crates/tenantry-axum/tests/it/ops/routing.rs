//! The routes combine with any others and need no tenant.

use axum::{Router, extract::State, http::StatusCode, routing::get as on_get};
use tenantry_axum::{CurrentTenant, TenantLayer, ops_routes};

use crate::support::{TestResult, World, eventually, get, get_without_tenant};

const PATHS: [&str; 4] = ["/health", "/livez", "/readyz", "/metrics"];

#[tokio::test]
async fn need_no_tenant() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = Router::new()
        .route("/tenant", on_get(async |_: CurrentTenant| "a tenant"))
        .layer(TenantLayer::new(manager.clone()))
        .merge(ops_routes(manager.clone()));
    for path in PATHS {
        assert_eq!(get_without_tenant(&app, path).await.status, StatusCode::OK, "{path}");
        for tenant in ["acme", "nobody", "frozen", "a b", ""] {
            assert_eq!(get(&app, path, tenant).await.status, StatusCode::OK, "{path} {tenant}");
        }
    }
    assert_eq!(get_without_tenant(&app, "/tenant").await.status, StatusCode::BAD_REQUEST);
    manager.close().await;
    Ok(())
}

#[derive(Clone)]
struct AppState {
    name: &'static str,
}

#[tokio::test]
async fn go_into_a_router_with_a_state_of_its_own() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app: Router = Router::new()
        .route("/name", on_get(async |State(state): State<AppState>| state.name))
        .nest("/internal", ops_routes(manager.clone()))
        .with_state(AppState { name: "app" });
    assert_eq!(get_without_tenant(&app, "/name").await.body, "app");
    let is_ready =
        async || get_without_tenant(&app, "/internal/readyz").await.body == r#"{"status":"ok"}"#;
    eventually("it is ready", is_ready).await;
    manager.close().await;
    Ok(())
}

/// It is axum's rule that the last one merged brings the fallback; the crate's documentation says so.
#[tokio::test]
async fn leave_the_fallback_to_the_order_of_merging() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let tenants = Router::new()
        .route("/tenant", on_get(async |_: CurrentTenant| "a tenant"))
        .layer(TenantLayer::new(manager.clone()));
    let ops_last = tenants.clone().merge(ops_routes(manager.clone()));
    let tenants_last = ops_routes(manager.clone()).merge(tenants);
    let not_found = get_without_tenant(&ops_last, "/nowhere").await;
    assert_eq!(not_found.status, StatusCode::NOT_FOUND);
    assert!(!not_found.headers.contains_key("cache-control"), "it is not one of the routes");
    assert_eq!(get_without_tenant(&tenants_last, "/nowhere").await.status, StatusCode::BAD_REQUEST);
    manager.close().await;
    Ok(())
}
