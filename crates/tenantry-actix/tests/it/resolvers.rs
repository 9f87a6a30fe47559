//! Every resolver finds its tenant through a real router, over a socket: what actix makes of a request
//! is what counts.

use std::collections::HashMap;

use actix_web::{
    App, HttpMessage,
    dev::{Service, ServiceRequest},
    http::StatusCode,
    web,
};
use serde::Deserialize;
use tenantry::TenantId;
use tenantry_actix::{CurrentTenant, Resolve, ResolveError, TenantMiddleware, resolve};

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
async fn subdomain() -> TestResult {
    let app = app(resolve::Subdomain::of("example.com"))?;
    for (target, headers, id) in [
        ("/", "host: acme.example.com", "acme"),
        ("/", "host: ACME.Example.com.:3000", "acme"),
        ("http://globex.example.com/", "host: nobody.example.com", "globex"),
        ("http://user@globex.example.com:80/", "host: nobody.example.com", "globex"),
    ] {
        assert_eq!(ask_for(&app, target, headers).await.body, id, "{target} {headers}");
    }
    let forwarded = "host: example.com\r\nx-forwarded-host: acme.example.com";
    assert_eq!(ask_for(&app, "/", forwarded).await.problem_type(), "missing-tenant");
    for headers in ["host: a.acme.example.com", "host: b\u{fc}cher.example.com"] {
        let answer = ask_for(&app, "/", headers).await;
        assert_eq!(answer.problem_type(), "malformed-tenant", "{headers}");
    }
    // actix refuses it before any middleware, with an empty body.
    let two = "host: acme.example.com\r\nhost: globex.example.com";
    assert_eq!(ask_for(&app, "/", two).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(ask_for(&app, "/", "host: nobody.example.com").await.status, 404);
    // An international name in its ASCII form is a label like any other.
    let international = ask_for(&app, "/", "host: xn--bcher-kva.example.com").await;
    assert_eq!(international.problem_type(), "unknown-tenant");
    Ok(())
}

#[tokio::test]
async fn host() -> TestResult {
    let domains = HashMap::from([("shop.acme.test", TenantId::parse("acme")?)]);
    let app = app(resolve::Host::new(move |host: &str| domains.get(host).cloned()))?;
    assert_eq!(ask_for(&app, "/", "host: SHOP.acme.test.:80").await.body, "acme");
    let other = ask_for(&app, "/", "host: acme.test").await;
    assert_eq!(other.problem_type(), "missing-tenant");
    Ok(())
}

#[derive(Deserialize)]
struct UserPath {
    id: u32,
}

async fn user(CurrentTenant(tenant): CurrentTenant, path: web::Path<UserPath>) -> String {
    format!("{} {}", tenant.id(), path.id)
}

#[tokio::test]
async fn path_prefix_of_a_scope() -> TestResult {
    let middleware = middleware(resolve::PathPrefix::new("/t"));
    let app = serve!(
        App::new().service(
            web::scope("/t/{tenant}")
                .wrap(middleware.clone())
                .route("/users/{id}", web::get().to(user))
        )
    );
    assert_eq!(ask_for(&app, "/t/acme/users/7?t=/t/globex", "host: x").await.body, "acme 7");
    assert_eq!(ask_for(&app, "/t/globex/users/7", "host: x").await.body, "globex 7");
    let nobody = ask_for(&app, "/t/nobody/users/7", "host: x").await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    for encoded in ["/t/acme%2Fglobex/users/7", "/t/%61cme/users/7"] {
        let answer = ask_for(&app, encoded, "host: x").await;
        assert_eq!(answer.problem_type(), "malformed-tenant", "{encoded}");
    }
    Ok(())
}

struct Claims {
    tenant: &'static str,
}

#[tokio::test]
async fn claim() -> TestResult {
    let middleware = middleware(resolve::Extension::new(|claims: &Claims| Some(claims.tenant)));
    let app = serve!(
        App::new()
            .wrap(middleware.clone())
            .wrap_fn(|request, service| {
                let tenant = match request.path() {
                    "/malformed" => Some("a b"),
                    "/without" => None,
                    _ => Some("acme"),
                };
                if let Some(tenant) = tenant {
                    request.extensions_mut().insert(Claims { tenant });
                }
                service.call(request)
            })
            .route("/", web::get().to(tenant))
    );
    let forged = "host: x\r\nx-tenant-id: globex";
    assert_eq!(ask_for(&app, "/", forged).await.body, "acme");
    assert_eq!(ask_for(&app, "/without", forged).await.problem_type(), "missing-tenant");
    assert_eq!(ask_for(&app, "/malformed", forged).await.problem_type(), "malformed-tenant");
    Ok(())
}

#[tokio::test]
async fn closure() -> TestResult {
    let app = app(|request: &ServiceRequest| match request.query_string() {
        "" => Ok(None),
        "bad" => Err(ResolveError::Other("the query is bad")),
        query => Ok(Some(TenantId::parse(query)?)),
    })?;
    assert_eq!(ask_for(&app, "/?acme", "host: x").await.body, "acme");
    assert_eq!(ask_for(&app, "/", "host: x").await.problem_type(), "missing-tenant");
    let bad = ask_for(&app, "/?bad", "host: x").await;
    assert_eq!(bad.problem()["detail"], "the query is bad");
    assert_eq!(ask_for(&app, "/?a=b", "host: x").await.problem_type(), "malformed-tenant");
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
