//! Probes tell a server that is away from one tenant in trouble, and liveness from both.

use actix_web::http::StatusCode;
use serde_json::Value;

use super::{alone, assert_free_of, open, talkative, use_tenants};
use crate::support::{TestResult, TestServer, World, get_without_tenant, offline};

/// What a database and a driver say when something is wrong.
const WORDS: [&str; 8] =
    ["127.0.0.1", "localhost", "postgres", "refused", "os error", "reset", "nobody", "shut"];

/// Checks that the instance is up and cannot serve requests, and that nobody is told why.
async fn assert_unready(app: &TestServer) -> Value {
    let live = get_without_tenant(app, "/livez").await;
    assert_eq!((live.status, live.body.as_str()), (StatusCode::OK, "ok"));
    assert_eq!(live.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(live.header("cache-control"), Some("no-store"));

    let ready = get_without_tenant(app, "/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.header("content-type"), Some("application/json"));
    assert_eq!(ready.header("cache-control"), Some("no-store"));
    assert_eq!(ready.body, r#"{"status":"unhealthy"}"#);

    let health = get_without_tenant(app, "/health").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_free_of(&health, &WORDS);
    let report: Value = serde_json::from_str(&health.body).expect("the body is JSON");
    assert_eq!((&report["healthy"], &report["status"]), (&false.into(), &"unhealthy".into()));
    report
}

async fn is_ready(app: &TestServer) -> bool {
    let mut all = true;
    for path in ["/readyz", "/health", "/livez"] {
        all &= get_without_tenant(app, path).await.status == StatusCode::OK;
    }
    all
}

#[tokio::test]
async fn a_server_that_was_never_there() -> TestResult {
    let manager = offline(["acme"]);
    let app = open(&manager)?;
    let report = assert_unready(&app).await;
    assert_eq!(report["totalPools"], 0);
    assert_eq!(report["sharedDb"]["status"], "unhealthy");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn one_tenant_in_trouble() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = alone(talkative(&manager)?)?;
    use_tenants(&manager, &["acme", "globex"]).await;
    let mut admin = world.admin().await;
    sqlx::raw_sql("drop schema tenant_globex cascade").execute(&mut admin).await?;

    assert!(is_ready(&app).await);
    let health = get_without_tenant(&app, "/health").await;
    let report: Value = serde_json::from_str(&health.body)?;
    assert_eq!((&report["healthy"], &report["status"]), (&true.into(), &"ok".into()));
    assert_eq!((&report["totalPools"], &report["unhealthyPools"]), (&2.into(), &1.into()));
    assert_free_of(&health, &["tenant_globex"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_manager_that_was_closed() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = open(&manager)?;
    assert!(is_ready(&app).await);
    manager.close().await;
    assert_unready(&app).await;
    assert_eq!(get_without_tenant(&app, "/metrics").await.status, StatusCode::OK);
    Ok(())
}
