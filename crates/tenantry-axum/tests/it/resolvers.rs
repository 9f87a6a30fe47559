//! Every resolver finds its tenant through a real router.

use std::collections::HashMap;

use axum::{
    Extension, Router,
    body::Body,
    extract::Path,
    http::{Request, StatusCode, request::Parts},
    routing::get as on_get,
};
use serde::Deserialize;
use tenantry::TenantId;
use tenantry_axum::{CurrentTenant, Resolve, ResolveError, TenantLayer, resolve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Answer, TestResult, offline, send};

async fn tenant(CurrentTenant(tenant): CurrentTenant) -> String {
    tenant.id().to_string()
}

fn layer(resolver: impl Resolve) -> TenantLayer {
    TenantLayer::new(offline(["acme", "globex"])).resolver(resolver)
}

fn app(resolver: impl Resolve) -> Router {
    Router::new().route("/", on_get(tenant)).layer(layer(resolver))
}

async fn ask(app: &Router, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).expect("the request is sound");
    send(app, request).await
}

#[tokio::test]
async fn header() -> TestResult {
    let app = app(resolve::Header::from_static("x-org"));
    assert_eq!(ask(&app, "/", &[("x-org", "acme")]).await.body, "acme");
    assert_eq!(ask(&app, "/", &[("X-Org", "acme")]).await.body, "acme");
    let other = ask(&app, "/", &[("x-tenant-id", "acme")]).await;
    assert_eq!(other.problem_type(), "missing-tenant");
    let two = ask(&app, "/", &[("x-org", "acme"), ("x-org", "globex")]).await;
    assert_eq!(two.status, StatusCode::BAD_REQUEST);
    assert_eq!(two.problem_type(), "malformed-tenant");
    Ok(())
}

#[tokio::test]
async fn subdomain() -> TestResult {
    let app = app(resolve::Subdomain::of("example.com"));
    assert_eq!(ask(&app, "/", &[("host", "Acme.example.com:3000")]).await.body, "acme");
    assert_eq!(ask(&app, "http://globex.example.com/", &[]).await.body, "globex");
    let forwarded = [("host", "example.com"), ("x-forwarded-host", "acme.example.com")];
    assert_eq!(ask(&app, "/", &forwarded).await.problem_type(), "missing-tenant");
    let deep = ask(&app, "/", &[("host", "a.acme.example.com")]).await;
    assert_eq!(deep.problem_type(), "malformed-tenant");
    Ok(())
}

#[tokio::test]
async fn host() -> TestResult {
    let domains = HashMap::from([("shop.acme.test", TenantId::parse("acme")?)]);
    let app = app(resolve::Host::new(move |host: &str| domains.get(host).cloned()));
    assert_eq!(ask(&app, "/", &[("host", "SHOP.acme.test.:80")]).await.body, "acme");
    let other = ask(&app, "/", &[("host", "acme.test")]).await;
    assert_eq!(other.problem_type(), "missing-tenant");
    Ok(())
}

#[derive(Deserialize)]
struct UserPath {
    id: u32,
}

#[tokio::test]
async fn path_prefix_around_nested_routes() -> TestResult {
    let user = async |CurrentTenant(tenant): CurrentTenant, Path(path): Path<UserPath>| {
        format!("{} {}", tenant.id(), path.id)
    };
    let routes = Router::new().route("/users/{id}", on_get(user));
    let app =
        Router::new().nest("/t/{tenant}", routes).layer(layer(resolve::PathPrefix::new("/t")));
    assert_eq!(ask(&app, "/t/acme/users/7", &[]).await.body, "acme 7");
    assert_eq!(ask(&app, "/t/globex/users/7", &[]).await.body, "globex 7");
    assert_eq!(ask(&app, "/t/nobody/users/7", &[]).await.status, StatusCode::NOT_FOUND);
    let encoded = ask(&app, "/t/acme%2Fglobex/users/7", &[]).await;
    assert_eq!(encoded.problem_type(), "malformed-tenant");
    Ok(())
}

#[derive(Clone)]
struct Claims {
    tenant: &'static str,
}

#[tokio::test]
async fn claim() -> TestResult {
    let resolver = || resolve::Extension::new(|claims: &Claims| Some(claims.tenant));
    let outside = app(resolver()).layer(Extension(Claims { tenant: "acme" }));
    let forged = [("x-tenant-id", "globex")];
    assert_eq!(ask(&outside, "/", &forged).await.body, "acme");
    let without = app(resolver());
    assert_eq!(ask(&without, "/", &forged).await.problem_type(), "missing-tenant");
    let malformed = app(resolver()).layer(Extension(Claims { tenant: "a b" }));
    assert_eq!(ask(&malformed, "/", &[]).await.problem_type(), "malformed-tenant");
    Ok(())
}

#[tokio::test]
async fn closure() -> TestResult {
    let app = app(|parts: &Parts| match parts.uri.query() {
        None => Ok(None),
        Some("bad") => Err(ResolveError::Other("the query is bad")),
        Some(query) => Ok(Some(TenantId::parse(query)?)),
    });
    assert_eq!(ask(&app, "/?acme", &[]).await.body, "acme");
    assert_eq!(ask(&app, "/", &[]).await.problem_type(), "missing-tenant");
    assert_eq!(ask(&app, "/?bad", &[]).await.problem()["detail"], "the query is bad");
    assert_eq!(ask(&app, "/?a=b", &[]).await.problem_type(), "malformed-tenant");
    Ok(())
}

#[tokio::test]
async fn chain_in_order() -> TestResult {
    let resolver = resolve::Subdomain::of("example.com")
        .or(resolve::Header::default())
        .or(resolve::PathPrefix::new("/t"));
    let app = app(resolver);
    let (host, header) = (("host", "acme.example.com"), ("x-tenant-id", "globex"));
    assert_eq!(ask(&app, "/", &[host, header]).await.body, "acme");
    assert_eq!(ask(&app, "/", &[("host", "example.com"), header]).await.body, "globex");
    assert_eq!(ask(&app, "/", &[header]).await.body, "globex");
    assert_eq!(ask(&app, "/", &[]).await.problem_type(), "missing-tenant");
    let malformed_first = [("host", "a.b.example.com"), header];
    assert_eq!(ask(&app, "/", &malformed_first).await.problem_type(), "malformed-tenant");
    Ok(())
}

/// What hyper makes of these requests is what counts.
#[tokio::test]
async fn over_a_socket() -> TestResult {
    let resolver = resolve::Subdomain::of("example.com").or(resolve::Header::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, app(resolver)).await });
    let long = format!("host: x\r\nx-tenant-id: {}", "x".repeat(10_000));
    for (target, headers, status) in [
        ("/", "host: acme.example.com", "200"),
        ("/", "host: x\r\nx-tenant-id: acme", "200"),
        ("/", "host: x\r\nX-TENANT-ID:   acme  ", "200"),
        ("http://acme.example.com/", "host: nobody.example.com", "200"),
        ("/", "host: nobody.example.com", "404"),
        ("/", "host: acme.example.com\r\nhost: globex.example.com", "400"),
        ("/", "host: x\r\nx-tenant-id: acme\r\nx-tenant-id: globex", "400"),
        ("/", "host: x\r\nx-tenant-id: acm\u{e9}", "400"),
        ("/", "host: x\r\nx-tenant-id:", "400"),
        ("/", "host: x", "400"),
        ("/", &long, "400"),
    ] {
        let mut client = TcpStream::connect(address).await?;
        let head = format!("GET {target} HTTP/1.1\r\n{headers}\r\nconnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await?;
        assert_eq!(answer.get(9..12), Some(status), "{headers}: {answer}");
    }
    server.abort();
    Ok(())
}
