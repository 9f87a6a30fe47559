use sqlx::PgConnection;
use tenantry::{CatalogFn, FixedCatalog, TenantManager, TenantRecord, doctor::CheckStatus};

use super::{CHECKS, lines};
use crate::{
    doctor::of,
    support::{TestResult, World, connect, eventually, private_server, run},
};

/// Roles of four tenants, of whom `bad` and its likes have more or less than they should.
const ROLES: &str = "\
    create role a; create role b; create role bad; create role root superuser; create role pair; create role group_of_all; \
    create role app login; grant a, b, bad, root, pair to app; \
    create schema tenant_a; create schema tenant_b; create schema tenant_bad; create schema tenant_root; \
    create schema tenant_p1; create schema tenant_p2; \
    grant usage on schema tenant_a to a; grant usage on schema tenant_b to b; grant usage on schema tenant_root to root; \
    grant usage on schema tenant_p1, tenant_p2 to pair; \
    grant usage on schema tenant_a to group_of_all; grant group_of_all to bad; \
    create table tenant_a.t (id int primary key); create table tenant_b.t (id int primary key); \
    create table tenant_bad.t (id int primary key); create table tenant_root.t (id int primary key); \
    create table tenant_p1.t (id int primary key); create table tenant_p2.t (id int primary key); \
    grant select on tenant_a.t to a; grant select on tenant_p1.t, tenant_p2.t to pair; \
    create table tenant_a.theirs (id int primary key); grant select on tenant_a.theirs to a; alter table tenant_a.theirs owner to b; \
    create sequence tenant_a.s as smallint; create sequence tenant_b.s as smallint; grant select on sequence tenant_a.s to app; \
    select setval('tenant_a.s', 32000), setval('tenant_b.s', 32000)";

fn manager(url: &str) -> Result<TenantManager, Box<dyn std::error::Error>> {
    let mut records = Vec::new();
    for (id, role) in
        [("a", "a"), ("b", "b"), ("bad", "bad"), ("root", "root"), ("p1", "pair"), ("p2", "pair")]
    {
        records.push(TenantRecord::new(id.parse()?).role(role.parse()?));
    }
    Ok(TenantManager::builder(url).catalog(FixedCatalog::new(records)).build()?)
}

#[tokio::test]
async fn roles_that_may_too_much_or_too_little_are_named() -> TestResult {
    let server = private_server(&[]).await;
    let mut admin: PgConnection = connect(&server.url()).await;
    run(&mut admin, ROLES).await;
    let as_app = server.url().replace("postgres@", "app@");
    let manager = manager(&as_app)?;
    let report = manager.doctor().only(CHECKS.iter().copied()).run().await?;
    let found: Vec<_> =
        lines(&report).into_iter().filter(|line| line.starts_with("tenantPrivileges")).collect();
    for expected in [
        "tenantPrivileges error: the role of a tenant is a superuser or bypasses row-level security [root: role root: …",
        "tenantPrivileges error: the role of a tenant may use the schemas of others [bad: role bad: the schema tenant_a]",
        "tenantPrivileges error: objects belong to the role of another tenant [a: theirs belongs to the role of b]",
        "tenantPrivileges error: the role that serves requests may not use the schema [bad: role bad]",
        "tenantPrivileges warning: objects belong to b, and most others to postgres [a: theirs]",
        "tenantPrivileges warning: the role that serves requests may not read t [b: t: role b]",
        "tenantPrivileges info: tenants share a role [p1: role pair: the schema tenant_p2; p2: role pair: the schema tenant_p1]",
    ] {
        let is_expected = |line: &String| match expected.split_once('…') {
            Some((beginning, _)) => line.starts_with(beginning),
            None => line == expected,
        };
        assert!(found.iter().any(is_expected), "{expected} is not among {found:#?}");
    }
    assert_eq!(found.len(), 7, "{found:#?}");

    // A plain role reads what it may, and says what it may not.
    let sequences = of(&report, "sequences");
    assert_eq!(sequences.findings.len(), 1, "{report}");
    assert_eq!(
        sequences.unseen,
        ["the values of 1 sequence: the role of upkeep needs select on them"]
    );
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn without_a_list_of_tenants_nothing_passes() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let catalog = CatalogFn::new(|id| async move { Ok(Some(TenantRecord::new(id))) });
    let manager = world.builder().catalog(catalog).build()?;
    let report = manager.doctor().only(CHECKS.iter().copied()).run().await?;
    for check in report.checks.iter().filter(|check| check.name != "eventTriggers") {
        assert_eq!(check.status, CheckStatus::Unknown, "{report}");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_was_not_counted_is_no_pass() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, "analyze tenant_acme.users").await;
    let manager = world.manager();
    let doctor = manager.doctor().only(["bloat"]);
    eventually("the counts are gone", async || {
        // Again each time: a session may tell of its last statements after it.
        run(&mut world.admin().await, "select pg_stat_reset()").await;
        let report = doctor.run().await.expect("the check is known");
        let unseen = &of(&report, "bloat").unseen;
        unseen
            .first()
            .is_some_and(|unseen| unseen.contains("1 of 1 tables with rows begin at zero"))
    })
    .await;
    manager.close().await;

    let database: String =
        sqlx::query_scalar("select current_database()::text").fetch_one(&mut admin).await?;
    run(&mut admin, &format!("alter database \"{database}\" set track_counts to off")).await;
    let manager = world.manager();
    let report = manager.doctor().only(["bloat"]).run().await?;
    assert_eq!(of(&report, "bloat").status, CheckStatus::Unknown, "{report}");
    assert!(of(&report, "bloat").message.contains("track_counts is off"), "{report}");
    manager.close().await;
    Ok(())
}
