//! Of two middlewares, the inner one decides.

use actix_web::{App, http::StatusCode, web};
use tenantry_actix::{CurrentTenant, Optional, TenantMiddleware, resolve::Header};

use crate::support::{TestResult, TestServer, ask, get, offline, serve};

async fn tenant(Optional(tenant): Optional<CurrentTenant>) -> String {
    match tenant {
        Some(CurrentTenant(tenant)) => tenant.id().to_string(),
        None => "none".to_owned(),
    }
}

fn app(
    inner: impl Fn(TenantMiddleware) -> TenantMiddleware,
) -> Result<TestServer, Box<dyn std::error::Error>> {
    let outer = TenantMiddleware::new(offline(["acme", "globex"]));
    let inner = inner(outer.clone().resolver(Header::from_static("x-inner")));
    let outer = outer.optional();
    Ok(serve!(
        App::new()
            .wrap(outer.clone())
            .service(web::scope("").wrap(inner.clone()).route("/", web::get().to(tenant)))
    ))
}

async fn ask_for(
    app: &TestServer,
    outer: Option<&str>,
    inner: Option<&str>,
) -> (StatusCode, String) {
    let mut request = "GET / HTTP/1.1\r\nhost: x".to_owned();
    for (name, tenant) in [("x-tenant-id", outer), ("x-inner", inner)] {
        if let Some(tenant) = tenant {
            request = format!("{request}\r\n{name}: {tenant}");
        }
    }
    let answer = ask(app, request).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn the_inner_middleware_wins() -> TestResult {
    let app = app(|inner| inner)?;
    let globex = (StatusCode::OK, "globex".to_owned());
    assert_eq!(ask_for(&app, Some("acme"), Some("globex")).await, globex);
    assert_eq!(ask_for(&app, None, Some("globex")).await, globex);
    assert_eq!(ask_for(&app, Some("acme"), None).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(ask_for(&app, Some("nobody"), Some("acme")).await.0, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn an_optional_inner_middleware_takes_the_outer_tenant_away() -> TestResult {
    let app = app(TenantMiddleware::optional)?;
    let none = (StatusCode::OK, "none".to_owned());
    assert_eq!(ask_for(&app, Some("acme"), None).await, none);
    assert_eq!(ask_for(&app, None, None).await, none);
    assert_eq!(ask_for(&app, Some("acme"), Some("globex")).await.1, "globex");
    Ok(())
}

/// The last `wrap` of one app is the outermost.
#[tokio::test]
async fn of_two_around_one_app_the_first_is_inside() -> TestResult {
    let outer = TenantMiddleware::new(offline(["acme", "globex"])).optional();
    let inner = outer.clone().resolver(Header::from_static("x-inner"));
    let app = serve!(
        App::new().wrap(inner.clone()).wrap(outer.clone()).route("/", web::get().to(tenant))
    );
    assert_eq!(ask_for(&app, Some("acme"), Some("globex")).await.1, "globex");
    assert_eq!(ask_for(&app, Some("acme"), None).await.1, "none");
    Ok(())
}

#[tokio::test]
async fn one_middleware_covers_nested_scopes() -> TestResult {
    let middleware = TenantMiddleware::new(offline(["acme"]));
    let app = serve!(App::new().wrap(middleware.clone()).service(
        web::scope("/api").service(web::scope("/v1").route("/tenant", web::get().to(tenant)))
    ));
    assert_eq!(get(&app, "/api/v1/tenant", "acme").await.body, "acme");
    assert_eq!(get(&app, "/api/v1/tenant", "nobody").await.status, StatusCode::NOT_FOUND);
    Ok(())
}

/// A request object is used again by the next request of the same connection.
#[tokio::test]
async fn nothing_is_left_for_the_next_request_of_a_connection() -> TestResult {
    let app = app(TenantMiddleware::optional)?;
    let first = "GET / HTTP/1.1\r\nhost: x\r\nx-inner: acme\r\n\r\n";
    let answers = ask(&app, format!("{first}GET / HTTP/1.1\r\nhost: x")).await;
    assert!(answers.body.starts_with("acme"), "{answers:?}");
    assert!(answers.body.ends_with("none"), "{answers:?}");
    Ok(())
}
