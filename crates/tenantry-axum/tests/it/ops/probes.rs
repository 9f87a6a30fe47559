//! Probes tell a server that is away from one tenant in trouble, and liveness from both.

use std::time::{Duration, Instant};

use axum::{Router, http::StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tenantry_axum::{OpsRoutes, ops_routes};

use super::{assert_free_of, private_server, talkative, use_tenants};
use crate::support::{TestResult, World, builder, eventually, get_without_tenant, offline};

/// What a database and a driver say when something is wrong.
const WORDS: [&str; 8] =
    ["127.0.0.1", "localhost", "postgres", "refused", "os error", "reset", "nobody", "shut"];

/// Checks that the instance is up and cannot serve requests, and that nobody is told why.
async fn assert_unready(app: &Router) -> Value {
    let live = get_without_tenant(app, "/livez").await;
    assert_eq!((live.status, live.body.as_str()), (StatusCode::OK, "ok"));
    assert_eq!(live.headers["cache-control"], "no-store");

    let ready = get_without_tenant(app, "/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.headers["content-type"], "application/json");
    assert_eq!(ready.headers["cache-control"], "no-store");
    assert_eq!(ready.body, r#"{"status":"unhealthy"}"#);

    let health = get_without_tenant(app, "/health").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_free_of(&health, &WORDS);
    let report: Value = serde_json::from_str(&health.body).expect("the body is JSON");
    assert_eq!((&report["healthy"], &report["status"]), (&false.into(), &"unhealthy".into()));
    report
}

async fn is_ready(app: &Router) -> bool {
    let mut all = true;
    for path in ["/readyz", "/health", "/livez"] {
        all &= get_without_tenant(app, path).await.status == StatusCode::OK;
    }
    all
}

#[tokio::test]
async fn a_server_that_stops_and_comes_back() -> TestResult {
    let server = private_server().await;
    let manager = builder(&server.url()).build()?;
    let app = talkative(&manager)?;
    use_tenants(&manager, &["acme", "globex"]).await;
    assert!(is_ready(&app).await);

    server.stop_now().await?;
    let report = assert_unready(&app).await;
    assert_eq!(report["sharedDb"]["status"], "unhealthy");
    assert!(get_without_tenant(&app, "/metrics").await.body.contains("tenantry_health_status 0\n"));

    server.start_again().await?;
    eventually("the server is found again", async || is_ready(&app).await).await;
    let metrics = get_without_tenant(&app, "/metrics").await;
    assert!(metrics.body.contains("tenantry_health_status 1\n"), "{}", metrics.body);
    manager.close().await;
    server.close().await;
    Ok(())
}

#[tokio::test]
async fn a_server_that_was_never_there() -> TestResult {
    let manager = offline(["acme"]);
    let app = ops_routes(manager.clone());
    let report = assert_unready(&app).await;
    assert_eq!(report["totalPools"], 0);
    assert_eq!(report["sharedDb"]["status"], "unhealthy");
    manager.close().await;
    Ok(())
}

/// Nothing refuses the connection, and nothing answers.
#[tokio::test]
async fn a_server_that_hangs_is_not_waited_for_longer_than_the_ping_timeout() -> TestResult {
    let server = private_server().await;
    let manager = builder(&server.url()).build()?;
    let app =
        OpsRoutes::new(manager.clone()).ping_timeout(Duration::from_millis(300)).into_router()?;
    let postmaster = server.pid().and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
    let postmaster = postmaster.expect("the server is running");

    kill_process(postmaster, Signal::STOP)?;
    let asked = Instant::now();
    assert_unready(&app).await;
    let took = asked.elapsed();
    kill_process(postmaster, Signal::CONT)?;
    // Two answers of 300 ms each, on a machine that may be busy.
    assert!(took < Duration::from_secs(2), "{took:?}");

    eventually("the server is found again", async || is_ready(&app).await).await;
    manager.close().await;
    server.close().await;
    Ok(())
}

#[tokio::test]
async fn one_tenant_in_trouble() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = talkative(&manager)?;
    use_tenants(&manager, &["acme", "globex"]).await;
    let mut admin = world.admin().await;
    sqlx::raw_sql("drop schema tenant_globex cascade").execute(&mut admin).await?;

    assert!(is_ready(&app).await);
    let health = get_without_tenant(&app, "/health").await;
    let report: Value = serde_json::from_str(&health.body)?;
    assert_eq!((&report["healthy"], &report["status"]), (&true.into(), &"ok".into()));
    assert_eq!((&report["totalPools"], &report["unhealthyPools"]), (&2.into(), &1.into()));
    let status = |index: usize| &report["pools"][index]["status"];
    assert_eq!((status(0), status(1)), (&"ok".into(), &"unhealthy".into()));
    assert!(report["pools"][1]["reason"].is_string(), "{report}");
    assert_free_of(&health, &["tenant_globex"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_manager_that_was_closed() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = ops_routes(manager.clone());
    assert!(is_ready(&app).await);
    manager.close().await;
    assert_unready(&app).await;
    assert_eq!(get_without_tenant(&app, "/metrics").await.status, StatusCode::OK);
    Ok(())
}
