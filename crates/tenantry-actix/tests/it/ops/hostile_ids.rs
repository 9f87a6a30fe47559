//! An invalid tenant id appears neither in the metrics nor in the log.

use actix_web::{App, dev::ServiceRequest, http::StatusCode, web};
use tenantry::TenantId;
use tenantry_acceptance::ops::OpsSettings;
use tenantry_actix::{CurrentTenant, Resolve, ResolveError, TenantMiddleware, resolve};

use super::routes;
use crate::support::{TestResult, World, ask, get_without_tenant, serve};

/// Reads the id verbatim from the query, including quotes and line breaks.
fn from_query(request: &ServiceRequest) -> Result<Option<TenantId>, ResolveError> {
    let query = request.query_string();
    if query.is_empty() {
        return Ok(None);
    }
    let id = query.replace("%22", "\"").replace("%0A", "\n").replace("%20", " ");
    Ok(Some(TenantId::parse(&id)?))
}

async fn inside(_: CurrentTenant) -> &'static str {
    "in"
}

#[tokio::test]
async fn are_refused_and_repeated_nowhere() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let resolver = resolve::Header::default().or(resolve::PathPrefix::new("/t")).or(from_query);
    let middleware = TenantMiddleware::new(manager.clone()).resolver(resolver);
    let ops = routes(manager.clone(), OpsSettings::verbose())?;
    let app = serve!(
        App::new().service(ops.clone()).service(
            web::scope("")
                .wrap(middleware.clone())
                .route("/", web::get().to(inside))
                .route("/t/{rest:.*}", web::get().to(inside))
        )
    );
    drop(manager.tenant("acme").await?.acquire().await?);

    let hostile = "acme\"} 1\nforged_total 666";
    for (target, headers) in [
        ("/", format!("\r\nx-tenant-id: {}", hostile.replace('\n', "\\n"))),
        // A line break in a header ends it, or makes the whole request malformed.
        ("/", format!("\r\nx-tenant-id: {hostile}")),
        ("/", format!("\r\nx-tenant-id: {}", hostile.replace('\n', "\r\n "))),
        ("/t/acme%22%7D%201%0Aforged_total%20666/users", String::new()),
        ("/?acme%22%20%0Aforged_total%20666", String::new()),
    ] {
        let answer = ask(&app, format!("GET {target} HTTP/1.1\r\nhost: x{headers}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{target} {headers}");
        assert!(!answer.body.contains("forged_total"), "{answer:?}");
    }
    let metrics = get_without_tenant(&app, "/metrics").await.body;
    assert!(metrics.contains("tenant=\"acme\""), "{metrics}");
    assert!(!metrics.contains("forged_total"), "{metrics}");
    assert!(!get_without_tenant(&app, "/health").await.body.contains("forged_total"));
    let log = app.log.text();
    assert!(log.contains("request rejected"), "{log}");
    // actix itself logs requests at DEBUG; only the library's lines matter here.
    let ours = log.lines().filter(|line| line.contains("tenantry"));
    for line in ours {
        assert!(!line.contains("forged_total"), "{line}");
    }
    manager.close().await;
    Ok(())
}
