//! The routes combine with any others and need no tenant.

use actix_web::{App, http::StatusCode, web};
use tenantry_actix::{CurrentTenant, TenantMiddleware, ops_scope};

use crate::support::{TestResult, World, eventually, get, get_without_tenant, serve};

const PATHS: [&str; 4] = ["/health", "/livez", "/readyz", "/metrics"];

async fn tenant(_: CurrentTenant) -> &'static str {
    "a tenant"
}

#[tokio::test]
async fn need_no_tenant() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let served = manager.clone();
    let app = serve!(
        App::new().service(ops_scope(served.clone())).service(
            web::scope("")
                .wrap(TenantMiddleware::new(served.clone()))
                .route("/tenant", web::get().to(tenant))
        )
    );
    for path in PATHS {
        assert_eq!(get_without_tenant(&app, path).await.status, StatusCode::OK, "{path}");
        for tenant in ["acme", "nobody", "frozen", "a b", ""] {
            assert_eq!(get(&app, path, tenant).await.status, StatusCode::OK, "{path} {tenant}");
        }
    }
    assert_eq!(get(&app, "/tenant", "acme").await.body, "a tenant");
    assert_eq!(get_without_tenant(&app, "/tenant").await.status, StatusCode::BAD_REQUEST);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn leave_all_other_paths_to_what_comes_after_them() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let served = manager.clone();
    let app = serve!(
        App::new()
            .service(ops_scope(served.clone()))
            .route("/name", web::get().to(async || "app"))
            .service(web::scope("/internal").service(ops_scope(served.clone())))
    );
    assert_eq!(get_without_tenant(&app, "/name").await.body, "app");
    let is_ready =
        async || get_without_tenant(&app, "/internal/readyz").await.body == r#"{"status":"ok"}"#;
    eventually("it is ready", is_ready).await;
    let nowhere = get_without_tenant(&app, "/nowhere").await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
    assert_eq!(nowhere.header("cache-control"), None, "it is not one of the routes");
    manager.close().await;
    Ok(())
}

/// As the documentation of `ops_scope` says.
#[tokio::test]
async fn are_covered_by_a_middleware_around_the_app() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let served = manager.clone();
    let app = serve!(
        App::new().wrap(TenantMiddleware::new(served.clone())).service(ops_scope(served.clone()))
    );
    assert_eq!(get_without_tenant(&app, "/livez").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(get(&app, "/livez", "acme").await.body, "ok");
    manager.close().await;
    Ok(())
}
