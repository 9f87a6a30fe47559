//! The tenant is a field of the span around the layer, if that span has room for it.

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
    routing::get as on_get,
};
use tenantry_axum::{CurrentTenant, TenantLayer};
use tracing::{Instrument, field, info_span};

use crate::support::{Log, TestResult, get, get_without_tenant, offline};

async fn traced(request: Request, next: Next) -> Response {
    let span = info_span!("request", tenant = field::Empty);
    next.run(request).instrument(span).await
}

async fn traced_without_a_field(request: Request, next: Next) -> Response {
    next.run(request).instrument(info_span!("request")).await
}

fn routes() -> Router {
    let handler = on_get(async |_: Option<CurrentTenant>| tracing::info!("handled"));
    Router::new().route("/", handler).layer(TenantLayer::new(offline(["acme"])).optional())
}

#[tokio::test]
async fn name_the_tenant_of_requests_that_are_let_in_and_of_others() -> TestResult {
    let app = routes().layer(from_fn(traced));
    for (tenant, line) in [
        ("acme", r#"request{tenant="acme"}: it::spans: handled"#),
        // The lookup fails, and says so inside of the span.
        ("globex", r#"request{tenant="globex"}: tenantry::admission::rejection: request rejected"#),
    ] {
        let log = Log::capture();
        get(&app, "/", tenant).await;
        assert!(log.text().contains(line), "{}", log.text());
    }
    let log = Log::capture();
    get_without_tenant(&app, "/").await;
    get(&app, "/", "not-an-id!").await;
    assert!(log.text().contains("request: it::spans: handled"), "{}", log.text());
    assert!(!log.text().contains("request{"), "{}", log.text());
    Ok(())
}

#[tokio::test]
async fn without_the_field_stay_as_they_are() -> TestResult {
    let app = routes().layer(from_fn(traced_without_a_field));
    let log = Log::capture();
    assert_eq!(get(&app, "/", "acme").await.status, 200);
    assert!(log.text().contains("request: it::spans: handled"), "{}", log.text());
    Ok(())
}
