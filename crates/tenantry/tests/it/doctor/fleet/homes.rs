//! Tenants in other databases and on other servers: what is wrong with them is found where they live, and what is away
//! concerns its own tenants.

use std::time::{Duration, Instant};

use sqlx::PgConnection;
use tenantry::{
    FixedCatalog, Isolation, IsolationKind, Rows,
    doctor::{CheckStatus, DoctorReport, Severity},
};

use super::{CHECKS, lines};
use crate::{
    doctor::{of, whats},
    faults::Frozen,
    migrate::{Files, Homes, record, records, values},
    support::{TestResult, connect, eventually, run, server_version},
};

const ALL: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A connection whose statements find and create a tenant's tables.
async fn inside(homes: &Homes, id: &str) -> PgConnection {
    let mut conn = connect(&homes.url_of(id)).await;
    if ["a", "b", "c"].contains(&id) {
        run(&mut conn, &format!("set search_path to tenant_{id}")).await;
    }
    conn
}

/// Tenants with a table that has no primary key, and what one of them has besides.
async fn planted(besides: &[(&str, &str)]) -> Homes {
    let homes = Homes::new().await;
    for id in ALL {
        let mut conn = inside(&homes, id).await;
        run(&mut conn, "create table plain (id int)").await;
        for (_, sql) in besides.iter().filter(|(of, _)| *of == id) {
            run(&mut conn, sql).await;
        }
    }
    homes
}

/// The tenants that a check names, with their places.
fn places(report: &DoctorReport, check: &str) -> Vec<String> {
    let named = of(report, check).findings.iter().filter_map(|finding| finding.tenants.as_ref());
    let place = |tenant: &tenantry::doctor::AffectedTenant| {
        let [server, database] = [&tenant.server, &tenant.database];
        let of = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
        format!("{} {}/{}", tenant.tenant_id, of(server), of(database))
    };
    named.flat_map(|tenants| tenants.worst.iter().map(place)).collect()
}

#[tokio::test]
async fn what_is_wrong_is_found_where_it_is() -> TestResult {
    let homes = planted(&[
        ("f", "create unlogged table fast (id int primary key)"),
        ("b", "create table _sqlx_migrations (version bigint primary key)"),
    ])
    .await;
    run(&mut connect(&homes.eu.url()).await, "create schema tenant_gone").await;
    let manager = homes.manager(records());
    let report = manager.doctor().only(CHECKS.iter().copied()).run().await?;
    let keys = &of(&report, "primaryKeys").findings;
    assert_eq!(keys.len(), 1, "{report}");
    assert_eq!(keys[0].to_string(), "6 of 6 tenants: table plain has no primary key");
    let everyone =
        ["a main/-", "d main/db_d", "e main/db_e", "b eu-1/-", "c eu-1/-", "f eu-1/db_f"];
    let mut found = places(&report, "primaryKeys");
    found.sort();
    let mut expected = everyone.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected, "{report}");
    assert_eq!(places(&report, "unloggedTables"), ["f eu-1/db_f"]);
    let unlogged = &of(&report, "unloggedTables").findings[0];
    assert_eq!(unlogged.to_string(), "1 of 6 tenants: table fast is unlogged");
    assert_eq!(unlogged.sql_in[0].to_string(), "database db_f of server eu-1");
    assert_eq!(places(&report, "driftSummary"), ["f eu-1/db_f"], "{report}");
    let records = &of(&report, "migrationRecords").findings[0];
    assert_eq!(records.tenants.as_ref().map(|tenants| tenants.affected), Some(5), "{report}");
    let orphans = &of(&report, "orphans").findings[0].what;
    assert!(orphans.contains("tenant_gone") && orphans.contains("(server eu-1)"), "{orphans}");
    for check in CHECKS {
        assert_eq!(of(&report, check).unseen, [""; 0], "{check}");
    }
    let text = report.to_string();
    assert!(text.contains("f (database db_f of server eu-1): fast"), "{text}");
    assert!(
        text.contains(r#"alter table "public"."fast" set logged; -- database db_f of server eu-1"#),
        "{text}"
    );
    assert_eq!(of(&report, "databases").status, CheckStatus::Ok, "{report}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_is_harmless_is_fixed_where_it_is() -> TestResult {
    let facts = "create table facts (id int primary key) with (autovacuum_enabled = off); \
                 insert into facts select generate_series(1, 20000)";
    let homes = planted(&[("f", facts)]).await;
    let url = homes.url_of("f");
    eventually("the rows are counted", async || {
        let live = "select pg_stat_get_live_tuples('facts'::regclass) > 15000";
        values(&url, live).await == ["true"]
    })
    .await;
    let manager = homes.manager(records());
    let doctor = manager.doctor().only(["bloat"]);
    let report = doctor.run().await?;
    assert_eq!(places(&report, "bloat"), ["f eu-1/db_f"], "{report}");
    let fixed = doctor.fix(&report).await;
    assert_eq!((fixed.done, fixed.failed), (1, 0), "{fixed}");
    let analyzed = "select reltuples from pg_class where relname = 'facts'";
    assert_eq!(values(&url, analyzed).await, ["20000"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_is_away_concerns_its_tenants() -> TestResult {
    let homes = planted(&[]).await;
    run(&mut connect(&homes.main.url()).await, "drop database db_d").await;
    let manager = homes.manager(records());
    let frozen = Frozen::freeze(&homes.eu);
    let began = Instant::now();
    let doctor = manager.doctor().only(CHECKS.iter().copied());
    let report = doctor.check_timeout(Duration::from_secs(12)).run().await?;
    let took = began.elapsed();
    drop(frozen);
    assert!(took < Duration::from_secs(30), "{took:?}");
    let found = &of(&report, "databases").findings;
    assert_eq!(found.len(), 2, "{report}");
    assert!(found.iter().all(|finding| finding.severity == Severity::Error), "{report}");
    assert!(found[0].what.starts_with("server eu-1 cannot be reached: "), "{report}");
    assert_eq!(found[0].tenants.as_ref().map(|tenants| tenants.affected), Some(3));
    assert!(
        found[1].what.starts_with("1 database of tenants cannot be connected to: "),
        "{report}"
    );
    assert_eq!(places(&report, "databases")[3..], ["d main/db_d"]);
    let keys = of(&report, "primaryKeys");
    assert_eq!(keys.findings[0].to_string(), "2 of 2 tenants: table plain has no primary key");
    assert_eq!(keys.unseen[0], "3 tenants on server eu-1, which does not answer");
    assert!(keys.unseen[1].starts_with("1 tenant in database db_d of server main: "), "{report}");
    assert_eq!(of(&report, "duplicateIndexes").status, CheckStatus::Unknown);
    assert!(of(&report, "duplicateIndexes").message.ends_with("in 2 of 6 tenants"), "{report}");
    assert!(lines(&report).iter().all(|line| !line.starts_with("orphans")), "{report}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn of_many_databases_a_sample_is_examined_and_said_to_be() -> TestResult {
    let homes = planted(&[]).await;
    let manager = homes.manager(records());
    let doctor = manager.doctor().only(["databases", "primaryKeys", "unloggedTables"]).databases(1);
    let report = doctor.run().await?;
    let sample = &of(&report, "databases").findings[0];
    assert_eq!(sample.severity, Severity::Info);
    assert!(sample.what.ends_with("a sample: 1 of 5 databases are left out"), "{report}");
    let keys = &of(&report, "primaryKeys").findings[0];
    assert_eq!(keys.to_string(), "5 of 5 tenants: table plain has no primary key");
    let unlogged = of(&report, "unloggedTables");
    assert_eq!(unlogged.message, "no unlogged table in 5 of 6 tenants");
    assert_eq!(unlogged.status, CheckStatus::Ok);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_server_that_is_away_comes_first_with_all_that_follows_from_it() -> TestResult {
    let (homes, files) = (planted(&[]).await, Files::notes());
    let by_row = record("r").isolation(IsolationKind::Row).server("eu-1");
    let catalog = FixedCatalog::new(records().into_iter().chain([by_row]));
    let builder = homes.builder().or_isolation(Isolation::rows(Rows::new())).catalog(catalog);
    let manager = builder.build()?;
    homes.eu.stop_now().await?;
    let doctor = manager.doctor().tenants(files.read()).check_timeout(Duration::from_secs(12));
    let report = doctor.run().await?;
    let advice = report.recommendations.first().map(String::as_str).unwrap_or_default();
    assert!(advice.starts_with("start the server eu-1, or correct its URL"), "{report}");
    // What cannot be read is no problem of its records.
    let migrations = of(&report, "migrations");
    let blocked =
        migrations.findings.iter().filter(|finding| finding.what.contains("cannot be migrated"));
    let blocked: Vec<_> = blocked.filter_map(|finding| finding.tenants.as_ref()).collect();
    assert!(
        blocked
            .iter()
            .all(|of| of.worst.iter().all(|of| ["a", "d", "e"].contains(&&*of.tenant_id))),
        "{report}"
    );
    assert_eq!(migrations.unseen, ["4 tenants on server eu-1, which does not answer"], "{report}");
    let rows = of(&report, "rows");
    assert_eq!(rows.unseen, ["1 tenant on server eu-1, which does not answer"], "{report}");
    assert!(
        rows.findings.iter().all(|found| !found.what.contains("could not be verified")),
        "{report}"
    );

    let text = report.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("✗ Databases of tenants: "), "{text}");
    let told = lines[1].strip_prefix("  not seen by ").unwrap_or_else(|| panic!("{text}"));
    assert!(told.ends_with(" other checks: server eu-1 and its tenants"), "{text}");
    assert_eq!(text.matches("not seen by").count(), 1, "{text}");
    assert!(!text.contains("which does not answer"), "{text}");
    let first = lines.iter().position(|line| line.starts_with("✗ [")).expect("there are findings");
    assert!(
        lines[first].contains("[databases]")
            && lines[first].contains("server eu-1 cannot be reached"),
        "{text}"
    );
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_schema_of_a_new_database_gives_no_alarm() -> TestResult {
    let homes = planted(&[]).await;
    let version = server_version(&mut connect(&homes.main.url()).await).await;
    let manager = homes.manager(records());
    let report = manager.doctor().only(["tenantPrivileges"]).run().await?;
    let found = whats(&report, "tenantPrivileges");
    match version {
        // Every role may create objects in the schema `public` there.
        ..15 => assert_eq!(found, ["every role may create objects in the schema"], "{report}"),
        _ => assert_eq!(found, [""; 0], "{report}"),
    }
    // An owner that is not that of the database still is.
    run(
        &mut connect(&homes.url_of("f")).await,
        "create table more (id int primary key); create role other; alter table plain owner to other",
    )
    .await;
    let report = manager.doctor().only(["tenantPrivileges"]).run().await?;
    let found = whats(&report, "tenantPrivileges");
    assert!(found.contains(&"objects belong to other, and most others to postgres"), "{report}");
    manager.close().await;
    Ok(())
}
