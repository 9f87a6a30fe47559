//! What load balancers and Prometheus ask is there, and the metrics can have a password.

use serde_json::json;
use tenantry_devdb::DevDatabase;

use crate::{TestResult, program, start};

#[tokio::test]
async fn health_and_metrics_need_no_tenant_and_name_none() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = start(&database, &[]);
    let health = server.get_when_ok("/health");
    assert_eq!(health.status, 200);
    let report = health.json();
    assert_eq!((&report["healthy"], &report["status"]), (&json!(true), &json!("ok")));
    // Both were warmed up at the start.
    assert_eq!((&report["totalPools"], &report["pools"]), (&json!(2), &json!([])));
    assert_eq!(server.get_when_ok("/readyz").body, r#"{"status":"ok"}"#);
    assert_eq!(server.get("/livez", &[]).body, "ok");

    let metrics = server.get("/metrics", &[]);
    assert_eq!(metrics.status, 200);
    let format = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(metrics.head.contains(format), "{}", metrics.head);
    for line in
        ["tenantry_connections_max 10", "tenantry_tenant_pools 2", "tenantry_health_status 1"]
    {
        assert!(metrics.body.lines().any(|found| found == line), "{}", metrics.body);
    }
    assert!(metrics.body.contains("\ntokio_workers "), "{}", metrics.body);
    for answer in [health, metrics] {
        assert!(!answer.body.contains("acme"), "{}", answer.body);
    }
    server.stop();
    database.close().await?;
    Ok(())
}

#[tokio::test]
async fn metrics_are_behind_a_password_when_there_is_one() -> TestResult {
    let database = DevDatabase::create().await?;
    let secrets = [("METRICS_USER", "prom"), ("METRICS_PASS", "secret")];
    let server = start(&database, &secrets);
    let without = server.get("/metrics", &[]);
    assert_eq!(without.status, 401);
    assert!(without.head.contains("www-authenticate: basic realm=\"metrics\""), "{}", without.head);
    // prom:wrong and prom:secret
    let wrong = server.get("/metrics", &[("authorization", "Basic cHJvbTp3cm9uZw==")]);
    assert_eq!(wrong.status, 401);
    let right = server.get("/metrics", &[("authorization", "Basic cHJvbTpzZWNyZXQ=")]);
    assert_eq!(right.status, 200);
    assert_eq!(server.get("/health", &[]).status, 200);
    server.stop();
    database.close().await?;
    Ok(())
}

#[test]
fn half_a_password_is_a_mistake_that_is_told() {
    for (half, value) in [("METRICS_USER", "prom"), ("METRICS_PASS", "secret")] {
        let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
        let output = program()
            .database(nowhere)
            .env(half, value)
            .command()
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(said.contains("set both METRICS_USER and METRICS_PASS"), "{said}");
        assert!(!said.contains(value), "{said}");
    }
}

#[tokio::test]
async fn names_the_busiest_tenants_when_asked_to() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = start(&database, &[("METRICS_TENANTS", "5")]);
    assert_eq!(server.send("GET", "/users", Some("acme"), None).status, 200);
    let metrics = server.get("/metrics", &[]).body;
    assert!(metrics.contains("tenantry_tenant_acquires_total{tenant=\"acme\"} "), "{metrics}");
    server.stop();
    database.close().await?;
    Ok(())
}

#[tokio::test]
async fn listens_where_it_is_told_to() -> TestResult {
    let database = DevDatabase::create().await?;
    for (host, listens_on) in [(None, "127.0.0.1"), (Some("0.0.0.0"), "0.0.0.0")] {
        let environment: Vec<_> = host.map(|host| ("HOST", host)).into_iter().collect();
        let server = start(&database, &environment);
        assert_eq!(server.address().ip().to_string(), listens_on);
        assert_eq!(server.get("/readyz", &[]).status, 200);
        server.stop();
    }
    database.close().await?;
    Ok(())
}
