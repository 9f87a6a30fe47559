//! Tenants with the same findings are told together; rules hide findings and say so.

use sqlx::Executor;
use tenantry::{
    drift::{DriftStatus, Matching},
    migrate::Schemas,
    schema::{Attribute, ObjectKind},
};

use crate::support::{TestResult, World, run};

/// A database with tenants `t0`, `t1` and so on, of which each has two tables.
pub(super) async fn fleet(tenants: usize) -> World {
    let world = World::new().await;
    let mut admin = world.admin().await;
    for tenant in 0..tenants {
        let sql = format!(
            "create schema tenant_t{tenant}; set search_path = tenant_t{tenant}; \
             create table users (id bigint generated always as identity primary key, email text not null unique); \
             create table orders (id bigserial primary key, user_id bigint references users, total numeric(10,2) default 0); \
             create index orders_user on orders (user_id); \
             create function own() returns text language plpgsql set search_path = tenant_t{tenant} as \
             $$ begin return 'tenant_t{tenant}' || (select count(*) from tenant_t{tenant}.users); end $$"
        );
        run(&mut admin, &sql).await;
    }
    world
}

#[tokio::test]
async fn equal_tenants_have_no_drift() -> TestResult {
    let world = fleet(12).await;
    let manager = world.manager();
    let report = manager.drift().run().await?;
    assert_eq!((report.total, report.no_drift, report.with_drift, report.error), (12, 12, 0, 0));
    assert!(report.is_clean() && report.clusters.is_empty());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn tenants_with_the_same_findings_are_a_cluster() -> TestResult {
    let world = fleet(8).await;
    let mut admin = world.admin().await;
    for sql in [
        "drop index tenant_t3.orders_user",
        "drop index tenant_t5.orders_user",
        "drop index tenant_t6.orders_user",
        "alter table tenant_t7.orders alter column total type numeric(12,2)",
        "drop schema tenant_t2 cascade; create schema tenant_t2",
    ] {
        admin.execute(sqlx::raw_sql(sql)).await?;
    }
    let manager = world.manager();
    let report = manager.drift().against_tenant("t1").run().await?;
    assert_eq!((report.total, report.no_drift, report.with_drift), (8, 3, 5), "{report}");
    let tenants: Vec<_> = report.clusters[0].tenants.iter().map(|tenant| &**tenant).collect();
    assert_eq!(tenants, ["t3", "t5", "t6"]);
    let words: Vec<_> = report.clusters[0].findings.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["index orders_user is missing"]);
    let t7 = report.details.iter().find(|tenant| &*tenant.tenant_id == "t7").expect("it is there");
    assert_eq!(
        t7.findings[0].to_string(),
        "column orders.total: type is numeric(12,2), expected numeric(10,2)"
    );
    let t2 = report.details.iter().find(|tenant| &*tenant.tenant_id == "t2").expect("it is there");
    let words: Vec<_> = t2.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        ["function own() is missing", "table orders is missing", "table users is missing"]
    );

    let json = serde_json::to_value(&report)?;
    for (field, expected) in [
        ("referenceTenant", "\"t1\""),
        ("total", "8"),
        ("noDrift", "3"),
        ("withDrift", "5"),
        ("error", "0"),
    ] {
        assert_eq!(json[field].to_string(), expected, "{field}");
    }
    assert_eq!(json["details"].as_array().map(Vec::len), Some(8));
    assert!(json["timestamp"].is_string() && json["durationMs"].is_number());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn rules_hide_and_say_so() -> TestResult {
    let world = fleet(3).await;
    let mut admin = world.admin().await;
    for sql in [
        "comment on table tenant_t1.orders is 'here'",
        "create table tenant_t1.tmp_job (id int)",
        "grant select on tenant_t2.users to public",
    ] {
        admin.execute(sqlx::raw_sql(sql)).await?;
    }
    let manager = world.manager();
    let drift = manager
        .drift()
        .ignore(Matching::attribute(Attribute::Comment))
        .ignore(Matching::named("tmp_*"))
        .ignore(Matching::attribute(Attribute::Grants));
    let report = drift.run().await?;
    assert!(report.is_clean(), "{report}");
    // The table, and its column.
    let hidden: Vec<_> = report.hidden.iter().map(|hidden| hidden.differences).collect();
    assert_eq!(hidden, [1, 2, 1]);
    let tables = manager.drift().include(Matching::kind(ObjectKind::Table)).run().await?;
    assert_eq!((tables.with_drift, tables.hidden.len()), (2, 1), "{tables}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_cannot_be_read_is_an_entry() -> TestResult {
    let world = fleet(3).await;
    let manager = world.manager();
    let named =
        Schemas::Tenants(vec!["t0".into(), "nobody".into(), "t2".into(), "t2; drop".into()]);
    let report = manager.drift().of(named).run().await?;
    assert_eq!((report.total, report.no_drift, report.error), (4, 2, 2), "{report}");
    assert_eq!(report.details[1].status, DriftStatus::Error);
    assert!(manager.drift().against_tenant("nobody").run().await.is_err());
    manager.close().await;
    Ok(())
}
