//! What the layer costs a request. Run it in release mode, by name, with `--ignored --nocapture`.

use std::time::{Duration, Instant};

use axum::{Router, body::Body, http::Request, routing::get as on_get};
use tenantry_axum::{Db, TenantLayer};
use tower::ServiceExt;

use crate::support::{TestResult, offline};

/// The quickest of several runs, per request.
async fn time_per_request(app: &Router) -> Duration {
    const REQUESTS: u32 = 20_000;
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        for _ in 0..REQUESTS {
            let request = Request::get("/").header("x-tenant-id", "acme").body(Body::empty());
            let request = request.expect("the request is sound");
            let response = app.clone().oneshot(request).await;
            assert!(response.is_ok_and(|response| response.status().is_success()));
        }
        best = best.min(start.elapsed() / REQUESTS);
    }
    best
}

#[tokio::test]
#[ignore = "a measurement, of use in release mode on a quiet machine"]
async fn is_at_most_two_microseconds() -> TestResult {
    let plain = Router::new().route("/", on_get(async || "x"));
    let layered = plain.clone().layer(TenantLayer::new(offline(["acme"])));
    let extracted = Router::new()
        .route("/", on_get(async |_: Db| "x"))
        .layer(TenantLayer::new(offline(["acme"])));
    let plain = time_per_request(&plain).await;
    let layered = time_per_request(&layered).await;
    let extracted = time_per_request(&extracted).await;
    eprintln!("plain {plain:?}, with the layer {layered:?}, with the layer and Db {extracted:?}");
    assert!(extracted - plain < Duration::from_micros(2));
    Ok(())
}
