//! `/health` reports the state of the instance, and tenants only as counts unless they are asked for.

use std::collections::BTreeSet;

use serde_json::Value;
use tenantry::{Lease, TenantManager};

use super::{
    OpsSettings, ServesOps,
    stage::{Stage, assert_free_of, small},
};
use crate::{
    client::Request,
    world::{TENANTS, World, eventually},
};

const PATHS: [&str; 4] = ["/health", "/livez", "/readyz", "/metrics"];

/// The keys of a report without a problem.
const KEYS: [&str; 11] = [
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

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// No route reveals where the database is, or which tenants exist.
pub async fn health_names_no_tenant_by_default<S: ServesOps>() {
    let world = World::new().await;
    let stage = Stage::new::<S>(world.manager()).await;
    stage.use_tenants(&["acme", "globex"]).await;

    assert_complete(&stage.health_when_ok().await);
    let address = [world.database_name(), "127.0.0.1", "localhost", "postgres"];
    let secrets: Vec<_> = address.into_iter().chain(TENANTS).collect();
    for path in PATHS {
        assert_free_of(&stage.get(path).await, &secrets);
    }
    stage.end().await;
}

/// Checks the report of an instance with two idle tenants.
fn assert_complete(health: &Value) {
    assert_eq!(keys(health), BTreeSet::from(KEYS));
    assert_eq!((&health["healthy"], &health["status"]), (&true.into(), &"ok".into()));
    assert_eq!(health["pools"], Value::Array(Vec::new()));
    assert_eq!(health["totalPools"], 2);
    assert_eq!((&health["degradedPools"], &health["unhealthyPools"]), (&0.into(), &0.into()));
    assert_eq!(keys(&health["sharedDb"]), BTreeSet::from(["status", "responseTimeMs"]));
    assert!(health["sharedDb"]["responseTimeMs"].as_f64() > Some(0.0), "{health}");
    assert!(health["durationMs"].as_f64() > Some(0.0), "{health}");
    assert!(health["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{health}");
}

/// With tenant details, `/health` reports each tenant with a pool.
pub async fn each_tenant_is_reported_on_request<S: ServesOps>() {
    let world = World::new().await;
    let stage = Stage::with::<S>(world.manager(), OpsSettings::verbose()).await;
    assert_eq!(stage.health(200).await["pools"], Value::Array(Vec::new()));
    stage.use_tenants(&["globex", "acme"]).await;
    let leases = lease_for(&stage.manager, ["acme"]).await;

    let pools = &stage.health(200).await["pools"];
    let names: Vec<_> =
        pools.as_array().expect("a list").iter().map(|of| &of["tenantId"]).collect();
    assert_eq!(names, ["acme", "globex"]);
    let expected = ["tenantId", "status", "totalConnections", "idleConnections", "waitingRequests"];
    assert_eq!(keys(&pools[0]), BTreeSet::from(expected));
    let connections =
        |index: usize| (&pools[index]["totalConnections"], &pools[index]["idleConnections"]);
    assert_eq!(connections(0), (&1.into(), &0.into()));
    assert_eq!(connections(1), (&1.into(), &1.into()));
    drop(leases);
    stage.end().await;
}

/// A load balancer must not remove an instance for being busy.
pub async fn degraded_is_still_healthy<S: ServesOps>() {
    let world = World::new().await;
    let stage = Stage::new::<S>(small(&world, 10)).await;
    let nine = ["acme", "globex", "initech"].into_iter().cycle().take(9);
    let leases = lease_for(&stage.manager, nine).await;
    let health = stage.health(200).await;
    assert_eq!((&health["healthy"], &health["status"]), (&true.into(), &"degraded".into()));
    let ready = stage.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, r#"{"status":"degraded"}"#));

    drop(leases);
    stage.health_when_ok().await;
    stage.end().await;
}

/// A saturated instance stays ready. `/health` reports who holds the connections, by name only on request.
pub async fn saturated_is_still_ready<S: ServesOps>() {
    let world = World::new().await;
    let stage = Stage::new::<S>(small(&world, 4)).await;
    let verbose = Stage::with::<S>(stage.manager.clone(), OpsSettings::verbose()).await;
    let held = lease_for(&stage.manager, ["acme", "globex", "acme", "globex"]).await;
    let initech = stage.manager.tenant("initech").await.expect("the tenant exists");
    let waiting = tokio::spawn(async move { initech.acquire().await.map(drop) });
    eventually("one request waits", async || stage.manager.snapshot().waiting == 1).await;

    let ready = stage.get("/readyz").await;
    let expected = serde_json::json!({ "status": "degraded", "reason": "saturated" });
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert_eq!(ready.json(), expected);
    assert_saturated(&stage.health(200).await);
    let names = verbose.health(200).await["saturation"]["holders"].to_string();
    assert!(names.contains("acme") && names.contains("globex"), "{names}");

    drop(held);
    waiting.await.expect("it does not panic").expect("it gets a connection");
    stage.end().await;
}

/// Checks the report of an instance of which two tenants hold two connections each.
fn assert_saturated(health: &Value) {
    assert_eq!((&health["healthy"], &health["reason"]), (&true.into(), &"saturated".into()));
    let (saturation, holders) = (&health["saturation"], &health["saturation"]["holders"]);
    assert_eq!(saturation["places"], 4);
    assert_eq!((&holders[0]["connections"], &holders[1]["connections"]), (&2.into(), &2.into()));
    assert!(holders[0]["longestHoldMs"].as_f64() > Some(0.0), "{saturation}");
    assert!(!health.to_string().contains("acme"), "{health}");
}

/// Acquires a connection for each of these tenants.
async fn lease_for(
    manager: &TenantManager,
    tenants: impl IntoIterator<Item = &'static str>,
) -> Vec<Lease> {
    let mut leases = Vec::new();
    for tenant in tenants {
        let db = manager.tenant(tenant).await.expect("the tenant exists");
        leases.push(db.acquire().await.expect("a connection is free"));
    }
    leases
}

/// All routes answer `GET` and `HEAD` only. No answer may be stored.
pub async fn heads_are_served_and_posts_are_not<S: ServesOps>() {
    let world = World::new().await;
    let stage = Stage::new::<S>(world.manager()).await;
    for path in PATHS {
        let head = Request::new("HEAD", path).send(&stage.server).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(head.header("cache-control"), Some("no-store"), "{path}");
        let post = Request::new("POST", path).send(&stage.server).await;
        assert_eq!(post.status, 405, "{path}");
        let allow = post.header("allow").map(|methods| methods.replace(' ', ""));
        assert_eq!(allow.as_deref(), Some("GET,HEAD"), "{path}");
        assert_eq!(post.header("cache-control"), Some("no-store"), "{path}");
    }
    stage.end().await;
}
