//! The log tells what the library does, as lines for people or as JSON.

use serde_json::Value;
use tenantry_devdb::DevDatabase;

use crate::{TestResult, start};

#[tokio::test]
async fn says_little_unless_asked() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = start(&database, &[]);
    assert_eq!(server.send("GET", "/users", Some("acme"), None).status, 200);
    server.wait_for_line(&["[axum_crud] tenant=acme pool created"]);
    server.wait_for_line(&["[axum_crud] warmed up", "total=2", "failed=0"]);
    server.wait_for_line(&["[axum_crud] tenant=acme request method=GET path=/users"]);
    let log = server.log();
    for line in log.lines() {
        // On a busy machine, something may be slow.
        let is_slow = line.contains("SLOW_QUERY") || line.contains("LONG_LEASE");
        let is_expected = is_slow
            || line.starts_with("[tenantry] MIGRATION ")
            || line.starts_with("[tenantry_axum] listening on ");
        let is_ours =
            ["[axum_crud] ", "[example_support] "].iter().any(|start| line.starts_with(start));
        assert!(is_ours || is_expected, "{log}");
    }
    server.stop();
    database.close().await?;
    Ok(())
}

#[tokio::test]
async fn tells_of_every_statement() -> TestResult {
    let database = DevDatabase::create().await?;
    let environment = [("RUST_LOG", "info,tenantry=debug")];
    let server = start(&database, &environment);
    assert_eq!(server.send("GET", "/users", Some("acme"), None).status, 200);
    server.wait_for_line(&["[tenantry] tenant=acme POOL_CREATED schema=tenant_acme"]);
    let query =
        ["[tenantry] tenant=acme ", "query=\"select * from users order by", "duration=", "rows=2"];
    server.wait_for_line(&query);
    server.stop();
    database.close().await?;
    Ok(())
}

#[tokio::test]
async fn tells_programs_in_json() -> TestResult {
    let database = DevDatabase::create().await?;
    let environment = [("LOG_FORMAT", "json"), ("RUST_LOG", "info,tenantry=debug")];
    let server = start(&database, &environment);
    assert_eq!(server.send("GET", "/users", Some("acme"), None).status, 200);
    let line = server.wait_for_line(&["{", "\"query\"", "select * from users order by"]);
    let event: Value = serde_json::from_str(&line)?;
    assert_eq!((&event["type"], &event["tenantId"]), (&"query".into(), &"acme".into()));
    assert_eq!(event["schemaName"], "tenant_acme");
    assert!(event["durationMs"].is_number(), "{event}");
    server.wait_for_line(&["{", "\"pool_created\"", "\"globex\""]);
    let log = server.log();
    assert!(!log.contains("[tenantry] tenant="), "no event comes twice: {log}");
    server.stop();
    database.close().await?;
    Ok(())
}
