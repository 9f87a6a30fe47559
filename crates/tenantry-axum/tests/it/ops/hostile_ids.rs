//! An invalid tenant id appears neither in the metrics nor in the log.

use axum::{Router, http::request::Parts, routing::get as on_get};
use tenantry::TenantId;
use tenantry_acceptance::ops::OpsSettings;
use tenantry_axum::{CurrentTenant, Resolve, ResolveError, TenantLayer, resolve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::routes;
use crate::support::{Log, TestResult, World};

/// Reads the id verbatim from the query, including quotes and line breaks.
fn from_query(parts: &Parts) -> Result<Option<TenantId>, ResolveError> {
    let Some(query) = parts.uri.query() else { return Ok(None) };
    let id = query.replace("%22", "\"").replace("%0A", "\n").replace("%20", " ");
    Ok(Some(TenantId::parse(&id)?))
}

#[tokio::test]
async fn are_refused_and_repeated_nowhere() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let resolver = resolve::Header::default().or(resolve::PathPrefix::new("/t")).or(from_query);
    let app = Router::new()
        .route("/", on_get(async |_: CurrentTenant| "in"))
        .route("/t/{*rest}", on_get(async |_: CurrentTenant| "in"))
        .layer(TenantLayer::new(manager.clone()).resolver(resolver))
        .merge(routes(manager.clone(), OpsSettings::verbose())?);
    drop(manager.tenant("acme").await?.acquire().await?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let ask = async |target: &str, headers: &str| -> std::io::Result<String> {
        let mut client = TcpStream::connect(address).await?;
        let head =
            format!("GET {target} HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\n\r\n");
        client.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await?;
        Ok(answer)
    };

    let log = Log::capture();
    let hostile = "acme\"} 1\nforged_total 666";
    for (target, headers) in [
        ("/", format!("x-tenant-id: {}\r\n", hostile.replace('\n', "\\n"))),
        // A line break in a header ends it, or makes the whole request malformed.
        ("/", format!("x-tenant-id: {hostile}\r\n")),
        ("/", format!("x-tenant-id: {}\r\n", hostile.replace('\n', "\r\n "))),
        ("/t/acme%22%7D%201%0Aforged_total%20666/users", String::new()),
        ("/?acme%22%20%0Aforged_total%20666", String::new()),
    ] {
        let answer = ask(target, &headers).await?;
        assert_eq!(answer.get(9..12), Some("400"), "{target} {headers}: {answer}");
        assert!(!answer.contains("forged_total"), "{answer}");
    }
    let metrics = ask("/metrics", "").await?;
    assert!(metrics.contains("tenant=\"acme\""), "{metrics}");
    assert!(!metrics.contains("forged_total"), "{metrics}");
    assert!(!ask("/health", "").await?.contains("forged_total"));
    assert!(log.text().contains("request rejected"), "{}", log.text());
    assert!(!log.text().contains("forged_total"), "{}", log.text());
    server.abort();
    manager.close().await;
    Ok(())
}
