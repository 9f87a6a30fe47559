//! What a client is told when its request is refused.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix_web::{App, HttpResponse, dev::Service, http::StatusCode, web};
use tenantry::{CatalogFn, TenantManager};
use tenantry_actix::{Rejection, RejectionKind, TenantMiddleware};

use crate::support::{TestResult, World, get, get_without_tenant, offline, serve};

async fn inside() -> &'static str {
    "in"
}

#[tokio::test]
async fn says_what_is_wrong_with_the_tenant() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let middleware = TenantMiddleware::new(manager.clone());
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let app = serve!({
        let count = Arc::clone(&count);
        let handler = move || std::future::ready(count.fetch_add(1, Ordering::Relaxed).to_string());
        App::new().wrap(middleware.clone()).route("/", web::get().to(handler))
    });

    let missing = get_without_tenant(&app, "/").await;
    assert_eq!(missing.status, StatusCode::BAD_REQUEST);
    assert_eq!(missing.problem_type(), "missing-tenant");

    let reserved = "tenant id is a name that PostgreSQL reserves";
    for (tenant, status, problem, detail) in [
        ("nobody", 404, "unknown-tenant", "tenant nobody does not exist"),
        ("ACME", 404, "unknown-tenant", "tenant ACME does not exist"),
        ("frozen", 403, "suspended-tenant", "tenant frozen is suspended"),
        ("", 400, "malformed-tenant", "tenant id is empty"),
        ("public", 400, "malformed-tenant", reserved),
        ("pg_temp", 400, "malformed-tenant", reserved),
    ] {
        let answer = get(&app, "/", tenant).await;
        assert_eq!(answer.status.as_u16(), status, "{tenant}");
        assert_eq!(answer.problem_type(), problem);
        assert_eq!(answer.problem()["detail"], detail);
        assert_eq!(answer.header("retry-after"), None);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0, "the handler ran");
    assert_eq!(manager.snapshot().total, 0, "a connection was taken");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn can_be_replaced() -> TestResult {
    let middleware =
        TenantMiddleware::new(offline(["acme"])).on_rejection(|rejection: &Rejection| {
            let tenant = rejection.tenant().map_or("none", |tenant| tenant.as_str());
            let status = match rejection.kind() {
                RejectionKind::Unknown => StatusCode::IM_A_TEAPOT,
                _ => rejection.status(),
            };
            HttpResponse::build(status).body(tenant.to_owned())
        });
    let app = serve!(App::new().wrap(middleware.clone()).route("/", web::get().to(inside)));
    assert_eq!(get(&app, "/", "acme").await.body, "in");
    let unknown = get(&app, "/", "nobody").await;
    assert_eq!((unknown.status, unknown.body.as_str()), (StatusCode::IM_A_TEAPOT, "nobody"));
    let missing = get_without_tenant(&app, "/").await;
    assert_eq!((missing.status, missing.body.as_str()), (StatusCode::BAD_REQUEST, "none"));
    Ok(())
}

#[tokio::test]
async fn is_a_response_to_middlewares_outside() -> TestResult {
    let middleware = TenantMiddleware::new(offline(["acme"]));
    let app = serve!(
        App::new()
            .wrap(middleware.clone())
            .wrap_fn(|request, service| {
                let response = service.call(request);
                async move {
                    let mut response = response.await?;
                    let status = response.status().as_u16();
                    response.headers_mut().insert(
                        actix_web::http::header::HeaderName::from_static("x-seen"),
                        status.into(),
                    );
                    Ok(response)
                }
            })
            .route("/", web::get().to(inside))
    );
    assert_eq!(get(&app, "/", "acme").await.header("x-seen"), Some("200"));
    assert_eq!(get(&app, "/", "nobody").await.header("x-seen"), Some("404"));
    Ok(())
}

#[tokio::test]
async fn of_a_catalog_that_fails_is_503_and_logged() -> TestResult {
    let manager = TenantManager::builder("postgres://nobody@127.0.0.1:1/nothing")
        .catalog(CatalogFn::new(async |_| Err(tenantry::Error::catalog("secret words"))))
        .build()?;
    let middleware = TenantMiddleware::new(manager);
    let app = serve!(App::new().wrap(middleware.clone()).route("/", web::get().to(inside)));
    let answer = get(&app, "/", "acme").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(!answer.body.contains("secret words"));
    assert!(app.log.text().contains("secret words"), "{}", app.log.text());
    Ok(())
}
