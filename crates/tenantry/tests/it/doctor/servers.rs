//! The checks of the server examine every server, and one that is away is told once.

use std::time::{Duration, Instant};

use tenantry::{
    PoolOptions, ServerOptions, TableCatalog, TenantManager,
    doctor::{CheckStatus, DoctorReport, Severity},
};
use tenantry_devdb::DevServer;

use super::{of, whats, with_status};
use crate::{
    faults::Frozen,
    migrate::{Homes, records},
    support::{TestResult, connect, pool_options, private_server, run, server_version},
};

/// The checks that examine each server.
const CHECKS: [&str; 17] = [
    "database",
    "poolConfig",
    "pooler",
    "role",
    "searchPath",
    "extensions",
    "tls",
    "timeouts",
    "versionEndOfLife",
    "transactionIds",
    "oldSnapshots",
    "autovacuum",
    "locks",
    "memory",
    "replication",
    "citus",
    "settings",
];

/// The servers that the findings of a check name.
fn servers<'a>(report: &'a DoctorReport, check: &str, what: &str) -> Vec<&'a str> {
    let found = of(report, check).findings.iter().filter(|finding| finding.what.contains(what));
    found.flat_map(|finding| finding.servers.iter().map(String::as_str)).collect()
}

/// Two servers, of which the second one has few connections, an unreachable extension, and defaults that harm.
async fn two() -> Result<(DevServer, DevServer), Box<dyn std::error::Error>> {
    let main = private_server(&["acme"]).await;
    let eu = DevServer::builder()
        .setting("max_connections", "12")
        .setting("password_encryption", "md5")
        .setting("idle_session_timeout", "60s")
        .start()
        .await?;
    let mut admin = connect(&eu.url()).await;
    run(&mut admin, "create schema types; create extension citext schema types").await;
    run(&mut admin, "alter role postgres set row_security to off").await;
    Ok((main, eu))
}

fn manager(main: &DevServer, eu: &DevServer) -> TenantManager {
    let quick = |options: &mut PoolOptions| {
        options.connect_timeout = Duration::from_millis(500);
        options.acquire_timeout = Duration::from_secs(2);
    };
    let eu = ServerOptions::new(eu.url()).pool_options(pool_options(quick));
    let builder = TenantManager::builder(main.url()).pool_options(pool_options(quick));
    builder.server("eu-1", eu).build().expect("the configuration is sound")
}

#[tokio::test]
async fn what_is_wrong_with_a_further_server_is_found_there() -> TestResult {
    let (main, eu) = two().await?;
    if server_version(&mut connect(&eu.url()).await).await < 14 {
        return Ok(()); // Without idle_session_timeout.
    }
    let manager = manager(&main, &eu);
    let report = manager.doctor().only(CHECKS).run().await?;
    for (check, what) in [
        ("poolConfig", "the budget is 20 connections, and the server has"),
        ("settings", "password_encryption is md5"),
        ("searchPath", "row_security = off"),
        ("extensions", "citext: the schema types is not in the search path"),
        ("timeouts", "the server ends sessions that are idle for 60s"),
    ] {
        assert_eq!(servers(&report, check, what), ["eu-1"], "{check}: {report}");
        let found = whats(&report, check);
        assert!(found.iter().any(|found| found.ends_with("(server eu-1)")), "{found:?}");
    }
    // Both are throwaways: one finding names both.
    assert_eq!(servers(&report, "settings", "fsync is off"), ["main", "eu-1"], "{report}");
    assert!(whats(&report, "settings").contains(&"fsync is off (servers main, eu-1)"), "{report}");
    let reset = of(&report, "searchPath").findings.iter().find(|of| of.severity == Severity::Error);
    let reset = reset.expect("it is an error");
    assert_eq!(reset.sql_in.iter().map(ToString::to_string).collect::<Vec<_>>(), ["server eu-1"]);
    let json = serde_json::to_value(&report)?;
    let of_servers = json["checks"].as_array().into_iter().flatten();
    let of_servers =
        of_servers.flat_map(|check| check["findings"].as_array().into_iter().flatten());
    for finding in of_servers {
        assert!(finding["servers"].as_array().is_some_and(|of| !of.is_empty()), "{finding}");
    }
    for check in CHECKS {
        assert_ne!(of(&report, check).status, CheckStatus::Unknown, "{check}: {report}");
    }
    assert!(of(&report, "poolConfig").message.contains("; eu-1: 20 connections"), "{report}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn one_server_is_not_named() -> TestResult {
    let main = private_server(&["acme"]).await;
    let manager = TenantManager::builder(main.url()).build()?;
    let report = manager.doctor().only(CHECKS).run().await?;
    assert!(whats(&report, "settings").contains(&"fsync is off"), "{report}");
    assert!(report.findings().all(|(_, finding)| finding.servers.is_empty()), "{report}");
    assert!(report.findings().all(|(_, finding)| finding.sql_in.is_empty()), "{report}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_away_is_told_once_and_the_others_are_examined() -> TestResult {
    let homes = Homes::new().await;
    let manager = homes.manager(records());
    let doctor = manager.doctor().check_timeout(Duration::from_secs(12));
    let frozen = Frozen::freeze(&homes.eu);
    let began = Instant::now();
    let report = doctor.run().await;
    let took = began.elapsed();
    let without_cause = doctor.clone().only(CHECKS).run().await;
    drop(frozen);
    let report = report?;
    assert!(took < Duration::from_secs(40), "{took:?}");
    for check in CHECKS {
        let check = of(&report, check);
        assert_eq!(check.unseen.last().map(String::as_str), Some(AWAY), "{}: {report}", check.name);
        assert!(!check.message.contains("could not"), "{}: {report}", check.name);
    }
    assert_eq!(servers(&report, "settings", "fsync is off"), ["main"], "{report}");
    let text = report.to_string();
    assert_eq!(text.matches(AWAY).count(), 0, "{text}");
    let told: Vec<_> = text.lines().filter(|line| line.starts_with("  not seen by ")).collect();
    let [line] = &told[..] else { panic!("{text}") };
    let (checks, rest) = line["  not seen by ".len()..].split_once(' ').expect("it has words");
    assert_eq!(rest, "other checks: server eu-1 and its tenants", "{text}");
    let not_seen = report.checks.iter().filter(|check| !check.unseen.is_empty()).count();
    assert_eq!(checks.parse(), Ok(not_seen), "{text}");
    assert!(not_seen > CHECKS.len(), "{text}");
    // Without the check that says why, it is told with the titles.
    let text = without_cause?.to_string();
    let told: Vec<_> = text.lines().filter(|line| line.contains(AWAY)).collect();
    let [line] = &told[..] else { panic!("{text}") };
    assert!(line.starts_with("  not seen by 17 checks: server eu-1"), "{text}");
    assert!(line.contains("Pool configuration") && line.contains("Server settings"), "{line}");
    // It is examined once it answers again.
    let report = doctor.only(CHECKS).run().await?;
    assert_eq!(servers(&report, "settings", "fsync is off"), ["main", "eu-1"], "{report}");
    manager.close().await;
    Ok(())
}

const AWAY: &str = "server eu-1, which does not answer";

#[tokio::test]
async fn a_server_that_stops_during_the_run_is_passed_over() -> TestResult {
    let homes = Homes::new().await;
    let manager = homes.manager(records());
    drop(manager.doctor().only(CHECKS).run().await?);
    let doctor = manager.doctor().check_timeout(Duration::from_secs(8));
    let run = tokio::spawn(async move { doctor.run().await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    let began = Instant::now();
    let frozen = Frozen::freeze(&homes.eu);
    let report = run.await?;
    let took = began.elapsed();
    drop(frozen);
    let report = report?;
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert_eq!(report.check("settings").map(|of| of.message.is_empty()), Some(false));
    assert!(!with_status(&report, CheckStatus::Skipped).contains(&"settings"), "{report}");
    assert!(servers(&report, "settings", "fsync is off").contains(&"main"), "{report}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn without_the_table_of_tenants_the_cause_is_told_once() -> TestResult {
    let main = private_server(&[]).await;
    let manager = TenantManager::builder(main.url()).catalog(TableCatalog::new()).build()?;
    let report = manager.doctor().run().await?;
    assert_eq!(of(&report, "tenants").status, CheckStatus::Error, "{report}");
    let unknown = with_status(&report, CheckStatus::Unknown);
    assert!(unknown.len() > 15, "{unknown:?}");
    let text = report.to_string();
    let cause = text.lines().filter(|line| line.contains("the tenants cannot be listed"));
    let cause: Vec<_> = cause.filter(|line| line.starts_with('?')).collect();
    let [cause] = &cause[..] else { panic!("{text}") };
    assert!(cause.contains("checks could not run: "), "{cause}");
    for title in [
        "Primary keys",
        "Dead rows and statistics",
        "Limits and places of tenants",
        "Relation cache",
    ] {
        let named = text.lines().filter(|line| line.contains(title)).count();
        assert_eq!(named, 1, "{title}: {text}");
    }
    assert_eq!(text.matches("does not exist").count(), 1, "{text}");
    // In JSON, every check says for itself why it could not run.
    let json = serde_json::to_value(&report)?;
    let told = json["checks"].as_array().into_iter().flatten();
    let told = told.filter(|check| {
        check["message"].as_str().is_some_and(|of| of.starts_with("could not read "))
    });
    assert!(told.count() > 15, "{json}");
    let bloat = of(&report, "bloat");
    assert_eq!(bloat.cause(), Some("the tenants cannot be listed"));
    manager.close().await;
    Ok(())
}
