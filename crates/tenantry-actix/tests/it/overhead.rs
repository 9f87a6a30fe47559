//! What the middleware costs a request. Run it in release mode, by name, with `--ignored --nocapture`.

use std::time::{Duration, Instant};

use actix_web::{
    App,
    test::{TestRequest, call_service, init_service},
    web,
};
use tenantry_actix::{Db, TenantMiddleware};

use crate::support::{TestResult, offline};

/// The quickest of several runs, per request.
async fn time_per_request(serve: impl AsyncFn(TestRequest) -> bool) -> Duration {
    const REQUESTS: u32 = 20_000;
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        for _ in 0..REQUESTS {
            let request = TestRequest::get().uri("/").insert_header(("x-tenant-id", "acme"));
            assert!(serve(request).await);
        }
        best = best.min(start.elapsed() / REQUESTS);
    }
    best
}

#[tokio::test]
#[ignore = "a measurement, of use in release mode on a quiet machine"]
async fn is_at_most_two_microseconds() -> TestResult {
    let middleware = TenantMiddleware::new(offline(["acme"]));
    let plain = App::new().route("/", web::get().to(async || "x"));
    let wrapped = App::new().wrap(middleware.clone()).route("/", web::get().to(async || "x"));
    let extracted = App::new().wrap(middleware).route("/", web::get().to(async |_: Db| "x"));
    let plain = init_service(plain).await;
    let wrapped = init_service(wrapped).await;
    let extracted = init_service(extracted).await;
    let plain = time_per_request(async |request: TestRequest| {
        call_service(&plain, request.to_request()).await.status().is_success()
    });
    let wrapped = time_per_request(async |request: TestRequest| {
        call_service(&wrapped, request.to_request()).await.status().is_success()
    });
    let extracted = time_per_request(async |request: TestRequest| {
        call_service(&extracted, request.to_request()).await.status().is_success()
    });
    let (plain, wrapped, extracted) = (plain.await, wrapped.await, extracted.await);
    eprintln!("plain {plain:?}, wrapped {wrapped:?}, wrapped and with Db {extracted:?}");
    assert!(extracted.saturating_sub(plain) < Duration::from_micros(2));
    Ok(())
}
