//! `/health` tells how everything fares, and of tenants their numbers alone unless it is asked to.

use actix_web::http::StatusCode;
use serde_json::Value;

use super::{alone, assert_free_of, open, secrets, talkative, use_tenants};
use crate::support::{TestResult, TestServer, World, ask, eventually, get_without_tenant};

async fn report(app: &TestServer, status: StatusCode) -> Value {
    let answer = get_without_tenant(app, "/health").await;
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    serde_json::from_str(&answer.body).expect("the body is JSON")
}

#[tokio::test]
async fn tells_of_tenants_their_numbers_alone() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = open(&manager)?;
    use_tenants(&manager, &["acme", "globex"]).await;

    let health = report(&app, StatusCode::OK).await;
    assert_eq!((&health["healthy"], &health["status"]), (&true.into(), &"ok".into()));
    assert_eq!(health["pools"], Value::Array(Vec::new()));
    assert_eq!(health["totalPools"], 2);
    assert!(health["sharedDb"]["responseTimeMs"].as_f64() > Some(0.0), "{health}");

    for path in ["/health", "/readyz", "/livez", "/metrics"] {
        assert_free_of(&get_without_tenant(&app, path).await, &secrets(&world));
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn tells_of_each_tenant_when_asked_to() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = alone(talkative(&manager)?)?;
    assert_eq!(report(&app, StatusCode::OK).await["pools"], Value::Array(Vec::new()));
    use_tenants(&manager, &["globex", "acme"]).await;
    let pools = &report(&app, StatusCode::OK).await["pools"];
    let names: Vec<_> =
        pools.as_array().expect("a list").iter().map(|of| &of["tenantId"]).collect();
    assert_eq!(names, ["acme", "globex"]);
    manager.close().await;
    Ok(())
}

/// Busy is no reason to be taken away.
#[tokio::test]
async fn degraded_is_still_healthy() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(10).build()?;
    let app = open(&manager)?;
    let mut leases = Vec::new();
    for tenant in ["acme", "globex", "initech"].into_iter().cycle().take(9) {
        leases.push(manager.tenant(tenant).await?.acquire().await?);
    }
    let health = report(&app, StatusCode::OK).await;
    assert_eq!((&health["healthy"], &health["status"]), (&true.into(), &"degraded".into()));
    let ready = get_without_tenant(&app, "/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (StatusCode::OK, r#"{"status":"degraded"}"#));

    drop(leases);
    eventually("it is well again", async || report(&app, StatusCode::OK).await["status"] == "ok")
        .await;
    manager.close().await;
    Ok(())
}

/// Who holds everything is told, by name where names are told, and the instance stays where it is.
#[tokio::test]
async fn saturated_is_still_ready() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(4).build()?;
    let (app, shown) = (open(&manager)?, alone(talkative(&manager)?)?);
    let mut held = Vec::new();
    for tenant in ["acme", "globex", "acme", "globex"] {
        held.push(manager.tenant(tenant).await?.acquire().await?);
    }
    let initech = manager.tenant("initech").await?;
    let waiting = tokio::spawn(async move { initech.acquire().await.map(drop) });
    eventually("one waits", async || manager.snapshot().waiting == 1).await;

    let ready = get_without_tenant(&app, "/readyz").await;
    let expected = serde_json::json!({ "status": "degraded", "reason": "saturated" });
    assert_eq!(ready.status, StatusCode::OK, "{}", ready.body);
    assert_eq!(serde_json::from_str::<Value>(&ready.body)?, expected);
    let health = report(&app, StatusCode::OK).await;
    assert_eq!((&health["healthy"], &health["reason"]), (&true.into(), &"saturated".into()));
    let (saturation, holders) = (&health["saturation"], &health["saturation"]["holders"]);
    assert_eq!(saturation["places"], 4);
    assert_eq!((&holders[0]["connections"], &holders[1]["connections"]), (&2.into(), &2.into()));
    assert!(holders[0]["longestHoldMs"].as_f64() > Some(0.0), "{saturation}");
    assert!(!health.to_string().contains("acme"), "{health}");
    let health = report(&shown, StatusCode::OK).await;
    let names = health["saturation"]["holders"].to_string();
    assert!(names.contains("acme") && names.contains("globex"), "{names}");

    drop(held);
    waiting.await??;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn can_be_asked_for_the_head_and_not_be_posted_to() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = open(&manager)?;
    for path in ["/health", "/livez", "/readyz", "/metrics"] {
        let head = ask(&app, format!("HEAD {path} HTTP/1.1\r\nhost: x")).await;
        assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""), "{path}");
        assert_eq!(head.header("cache-control"), Some("no-store"));
        let post = ask(&app, format!("POST {path} HTTP/1.1\r\nhost: x")).await;
        assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(post.header("allow"), Some("GET, HEAD"));
        assert_eq!(post.header("cache-control"), Some("no-store"));
    }
    manager.close().await;
    Ok(())
}
