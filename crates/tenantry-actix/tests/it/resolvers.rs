//! Resolvers find their tenant in ways that the acceptance suite does not ask for.

use actix_web::{App, http::StatusCode, web};
use tenantry_actix::{CurrentTenant, Resolve, TenantMiddleware, resolve};

use crate::support::{Answer, TestResult, TestServer, ask, offline, serve};

async fn tenant(CurrentTenant(tenant): CurrentTenant) -> String {
    tenant.id().to_string()
}

fn middleware(resolver: impl Resolve) -> TenantMiddleware {
    TenantMiddleware::new(offline(["acme", "globex"])).resolver(resolver)
}

fn app(resolver: impl Resolve) -> Result<TestServer, Box<dyn std::error::Error>> {
    let middleware = middleware(resolver);
    Ok(serve!(App::new().wrap(middleware.clone()).route("/", web::get().to(tenant))))
}

async fn ask_for(app: &TestServer, target: &str, headers: &str) -> Answer {
    ask(app, format!("GET {target} HTTP/1.1\r\n{headers}")).await
}

#[tokio::test]
async fn header() -> TestResult {
    let app = app(resolve::Header::from_static("x-org"))?;
    assert_eq!(ask_for(&app, "/", "host: x\r\nx-org: acme").await.body, "acme");
    assert_eq!(ask_for(&app, "/", "host: x\r\nX-ORG:   acme  ").await.body, "acme");
    assert_eq!(ask_for(&app, "/", "host: x\r\nx-org: acme\r\nx-org: acme").await.body, "acme");
    let other = ask_for(&app, "/", "host: x\r\nx-tenant-id: acme").await;
    assert_eq!(other.problem_type(), "missing-tenant");
    let long = format!("host: x\r\nx-org: {}", "x".repeat(10_000));
    for headers in [
        "host: x\r\nx-org: acme\r\nx-org: globex",
        "host: x\r\nx-org: acme\r\nX-Org: globex",
        "host: x\r\nx-org: acm\u{e9}",
        "host: x\r\nx-org:",
        "host: x\r\nx-org: acme,globex",
        &long,
    ] {
        let answer = ask_for(&app, "/", headers).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.problem_type(), "malformed-tenant");
    }
    Ok(())
}

#[tokio::test]
async fn chain_in_order() -> TestResult {
    let resolver = resolve::Subdomain::of("example.com")
        .or(resolve::Header::default())
        .or(resolve::PathPrefix::new("/t"));
    let app = app(resolver)?;
    for (headers, id) in [
        ("host: acme.example.com\r\nx-tenant-id: globex", "acme"),
        ("host: example.com\r\nx-tenant-id: globex", "globex"),
        ("host: x\r\nx-tenant-id: globex", "globex"),
    ] {
        assert_eq!(ask_for(&app, "/", headers).await.body, id, "{headers}");
    }
    assert_eq!(ask_for(&app, "/", "host: x").await.problem_type(), "missing-tenant");
    let malformed_first = "host: a.b.example.com\r\nx-tenant-id: globex";
    assert_eq!(ask_for(&app, "/", malformed_first).await.problem_type(), "malformed-tenant");
    Ok(())
}
