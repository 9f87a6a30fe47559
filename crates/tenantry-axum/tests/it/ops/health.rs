//! `/health` tells how everything fares, and of tenants their numbers alone unless it is asked to.

use std::collections::BTreeSet;

use axum::{
    Router,
    http::{Method, StatusCode},
};
use serde_json::Value;
use tenantry_axum::ops_routes;

use super::{assert_free_of, secrets, talkative, use_tenants};
use crate::support::{TestResult, World, eventually, get_without_tenant, request};

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

async fn report(app: &Router, status: StatusCode) -> Value {
    let answer = get_without_tenant(app, "/health").await;
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "no-store");
    serde_json::from_str(&answer.body).expect("the body is JSON")
}

#[tokio::test]
async fn tells_of_tenants_their_numbers_alone() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = ops_routes(manager.clone());
    use_tenants(&manager, &["acme", "globex"]).await;

    let health = report(&app, StatusCode::OK).await;
    let expected = [
        "healthy",
        "status",
        "pools",
        "sharedDb",
        "breaker",
        "pooling",
        "totalPools",
        "degradedPools",
        "unhealthyPools",
        "timestamp",
        "durationMs",
    ];
    assert_eq!(keys(&health), BTreeSet::from(expected));
    assert_eq!((&health["healthy"], &health["status"]), (&true.into(), &"ok".into()));
    assert_eq!(health["pools"], Value::Array(Vec::new()));
    assert_eq!(health["totalPools"], 2);
    assert_eq!((&health["degradedPools"], &health["unhealthyPools"]), (&0.into(), &0.into()));
    assert_eq!(keys(&health["sharedDb"]), BTreeSet::from(["status", "responseTimeMs"]));
    assert!(health["sharedDb"]["responseTimeMs"].as_f64() > Some(0.0), "{health}");
    assert!(health["durationMs"].as_f64() > Some(0.0), "{health}");
    assert!(health["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{health}");

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
    let app = talkative(&manager)?;
    assert_eq!(report(&app, StatusCode::OK).await["pools"], Value::Array(Vec::new()));
    use_tenants(&manager, &["globex", "acme"]).await;
    // Else the session of globex may be taken while that of acme is reset.
    eventually("the sessions are reset", async || manager.snapshot().leased == 0).await;
    let lease = manager.tenant("acme").await?.acquire().await?;

    let pools = &report(&app, StatusCode::OK).await["pools"];
    let names: Vec<_> =
        pools.as_array().expect("a list").iter().map(|of| &of["tenantId"]).collect();
    assert_eq!(names, ["acme", "globex"]);
    let expected = ["tenantId", "status", "totalConnections", "idleConnections", "waitingRequests"];
    assert_eq!(keys(&pools[0]), BTreeSet::from(expected));
    assert_eq!(
        (&pools[0]["totalConnections"], &pools[0]["idleConnections"]),
        (&1.into(), &0.into())
    );
    assert_eq!(
        (&pools[1]["totalConnections"], &pools[1]["idleConnections"]),
        (&1.into(), &1.into())
    );
    drop(lease);
    manager.close().await;
    Ok(())
}

/// Busy is no reason to be taken away.
#[tokio::test]
async fn degraded_is_still_healthy() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(10).build()?;
    let app = ops_routes(manager.clone());
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
    let (app, shown) = (ops_routes(manager.clone()), talkative(&manager)?);
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
    let app = ops_routes(manager.clone());
    for path in ["/health", "/livez", "/readyz", "/metrics"] {
        let head = request(&app, Method::HEAD, path, "acme").await;
        assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""), "{path}");
        let post = request(&app, Method::POST, path, "acme").await;
        assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(post.headers["cache-control"], "no-store");
    }
    manager.close().await;
    Ok(())
}
