//! Resolvers find their tenant through a real router, in ways that the acceptance suite does not ask for.

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{Request, StatusCode},
    routing::get as on_get,
};
use serde::Deserialize;
use tenantry_axum::{CurrentTenant, Resolve, TenantLayer, resolve};

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
