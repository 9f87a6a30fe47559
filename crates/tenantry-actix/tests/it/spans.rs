//! The tenant is a field of the span around the middleware, if that span has room for it.

use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::{Next, from_fn},
    web,
};
use tenantry_actix::{CurrentTenant, Optional, TenantMiddleware};
use tracing::{Instrument, field, info_span};

use crate::support::{TestResult, get, get_without_tenant, offline, serve};

async fn traced(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let span = info_span!("request", tenant = field::Empty);
    next.call(request).instrument(span).await
}

#[tokio::test]
async fn name_the_tenant_of_requests_that_are_let_in_and_of_others() -> TestResult {
    let middleware = TenantMiddleware::new(offline(["acme"])).optional();
    let app = serve!({
        let handler = async |_: Optional<CurrentTenant>| {
            tracing::info!("handled");
            ""
        };
        App::new().wrap(middleware.clone()).wrap(from_fn(traced)).route("/", web::get().to(handler))
    });
    get_without_tenant(&app, "/").await;
    get(&app, "/", "not-an-id!").await;
    assert!(app.log.text().contains("request: it::spans: handled"), "{}", app.log.text());
    assert!(!app.log.text().contains("request{"), "{}", app.log.text());
    get(&app, "/", "acme").await;
    get(&app, "/", "globex").await;
    let log = app.log.text();
    assert!(log.contains(r#"request{tenant="acme"}: it::spans: handled"#), "{log}");
    // The lookup fails, and says so inside of the span.
    let refused = r#"request{tenant="globex"}: tenantry::admission::rejection: request rejected"#;
    assert!(log.contains(refused), "{log}");
    Ok(())
}
