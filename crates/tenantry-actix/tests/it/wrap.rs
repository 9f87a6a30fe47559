//! It goes around an app, a scope and a resource, and covers what is inside.

use actix_web::{App, http::StatusCode, web};
use tenantry_actix::{CurrentTenant, TenantMiddleware};

use crate::support::{TestResult, get, get_without_tenant, offline, serve};

async fn tenant(CurrentTenant(tenant): CurrentTenant) -> String {
    tenant.id().to_string()
}

async fn open() -> &'static str {
    "open"
}

#[tokio::test]
async fn around_an_app_it_covers_everything() -> TestResult {
    let middleware = TenantMiddleware::new(offline(["acme"]));
    let app = serve!(
        App::new()
            .route("/open", web::get().to(open))
            .wrap(middleware.clone())
            .route("/tenant", web::get().to(tenant))
    );
    assert_eq!(get(&app, "/tenant", "acme").await.body, "acme");
    assert_eq!(get(&app, "/open", "acme").await.body, "open");
    assert_eq!(get(&app, "/nowhere", "acme").await.status, StatusCode::NOT_FOUND);
    for path in ["/tenant", "/open", "/nowhere"] {
        assert_eq!(get_without_tenant(&app, path).await.problem_type(), "missing-tenant");
    }
    Ok(())
}

#[tokio::test]
async fn around_a_scope_it_covers_the_scope() -> TestResult {
    let middleware = TenantMiddleware::new(offline(["acme"]));
    let app = serve!(App::new().route("/open", web::get().to(open)).service(
        web::scope("/api").wrap(middleware.clone()).route("/tenant", web::get().to(tenant))
    ));
    assert_eq!(get(&app, "/api/tenant", "acme").await.body, "acme");
    assert_eq!(get_without_tenant(&app, "/open").await.body, "open");
    assert_eq!(get(&app, "/open", "nobody").await.body, "open");
    assert_eq!(get_without_tenant(&app, "/nowhere").await.status, StatusCode::NOT_FOUND);
    for path in ["/api/tenant", "/api/nowhere"] {
        assert_eq!(get_without_tenant(&app, path).await.status, StatusCode::BAD_REQUEST);
    }
    Ok(())
}

#[tokio::test]
async fn around_a_resource_it_covers_the_resource() -> TestResult {
    let middleware = TenantMiddleware::new(offline(["acme"]));
    let app = serve!(
        App::new()
            .service(web::resource("/tenant").wrap(middleware.clone()).get(tenant))
            .route("/open", web::get().to(open))
    );
    assert_eq!(get(&app, "/tenant", "acme").await.body, "acme");
    assert_eq!(get_without_tenant(&app, "/tenant").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(get_without_tenant(&app, "/open").await.body, "open");
    Ok(())
}

/// As the crate's documentation shows it.
#[tokio::test]
async fn a_scope_of_all_other_paths_leaves_those_before_it() -> TestResult {
    let middleware = TenantMiddleware::new(offline(["acme"]));
    let app =
        serve!(App::new().route("/open", web::get().to(open)).service(
            web::scope("").wrap(middleware.clone()).route("/tenant", web::get().to(tenant))
        ));
    assert_eq!(get(&app, "/tenant", "acme").await.body, "acme");
    assert_eq!(get_without_tenant(&app, "/open").await.body, "open");
    assert_eq!(get_without_tenant(&app, "/nowhere").await.status, StatusCode::BAD_REQUEST);
    Ok(())
}
