//! Existing schemas: which migrations they have, and the first one made of a schema.

use tenantry::{
    ErrorKind,
    baseline::{Baseline, BaselineOutcome, BaselineReport},
    migrate::{MigrateOptions, Migrations, Schemas, TenantMigrator},
};

use crate::{
    migrate::Files,
    support::{TestResult, World, observe, run},
};

fn options() -> MigrateOptions {
    MigrateOptions::default()
}

fn outcome<'r>(report: &'r BaselineReport, tenant: &str) -> &'r BaselineOutcome {
    let mut tenants = report.tenants.iter();
    let found = tenants.find(|found| &*found.tenant_id == tenant);
    &found.unwrap_or_else(|| panic!("{tenant} is not in {report}")).outcome
}

fn marked(report: &BaselineReport, tenant: &str) -> Option<i64> {
    match outcome(report, tenant) {
        BaselineOutcome::Marked { version } => Some(*version),
        _ => None,
    }
}

const FIRST: &str = "create table users (id bigserial primary key, name text not null);";
const SECOND: &str = "alter table users add email text; create index on users (email);";
const THIRD: &str =
    "create table posts (id bigserial primary key, user_id bigint references users);";

/// Files, and tenants that were made by their statements without any record.
async fn fleet(tenants: &[(&str, &[&str])]) -> (World, Files, TenantMigrator) {
    let files = Files::new(&[
        ("0001_users.sql", FIRST),
        ("0002_email.sql", SECOND),
        ("0003_posts.sql", THIRD),
    ]);
    let world = World::new().await;
    let mut admin = world.admin().await;
    for (tenant, made_by) in tenants {
        let schema = format!("create schema tenant_{tenant}; set search_path = tenant_{tenant}; ");
        run(&mut admin, &(schema + &made_by.join(" "))).await;
    }
    let migrator = world.manager().migrator().tenants(files.read());
    (world, files, migrator)
}

#[tokio::test]
async fn each_tenant_is_marked_with_the_version_that_it_has() -> TestResult {
    let odd = "alter table users add odd int;";
    let (world, files, migrator) = fleet(&[
        ("behind", &[FIRST, SECOND]),
        ("latest", &[FIRST, SECOND, THIRD, "grant select on users to public;"]),
        ("odd", &[FIRST, odd]),
        ("new", &[]),
    ])
    .await;
    let mut admin = world.admin().await;
    run(&mut admin, "insert into tenant_latest.users (name) values ('ada')").await;

    let look = Baseline::detected().dry_run(true);
    let report = migrator.baseline(Schemas::AllTenants, look, options()).await?;
    assert_eq!((report.marked, report.refused, report.empty), (2, 1, 1), "{report}");
    let none = "select count(*)::text from pg_class where relname = '_sqlx_migrations'";
    assert_eq!(observe(&mut admin, none).await, "Some(\"0\")", "a dry run writes nothing");

    let report = migrator.baseline(Schemas::AllTenants, Baseline::detected(), options()).await?;
    assert_eq!((marked(&report, "behind"), marked(&report, "latest")), (Some(2), Some(3)));
    let text = report.to_string();
    assert!(text.contains("1 up to 0002_email.sql, 1 file behind"), "{text}");
    let BaselineOutcome::Unlike { nearest, differences, first } = outcome(&report, "odd") else {
        panic!("{report}")
    };
    assert_eq!((*nearest, *differences), (Some(1), 1), "{first:?}");
    assert!(first[0].contains("users.odd"), "{first:?}");
    assert!(!report.is_success());

    // What is behind is migrated, what is not understood is left alone.
    let report = migrator.migrate_all(options()).await?;
    assert_eq!((report.migrated, report.up_to_date, report.doubtful), (2, 1, 1), "{report}");
    let kept = "select name from tenant_latest.users";
    assert_eq!(observe(&mut admin, kept).await, "Some(\"ada\")");
    let again = migrator.baseline(Schemas::AllTenants, Baseline::detected(), options()).await?;
    assert_eq!((again.has_records, again.refused), (3, 1), "{again}");

    let trusted = Baseline::to(1).unchecked(true);
    let report = migrator.baseline(Schemas::tenants(["odd"]), trusted, options()).await?;
    assert_eq!(marked(&report, "odd"), Some(1), "{report}");
    drop(files);
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_named_is_compared() -> TestResult {
    let (_world, files, migrator) =
        fleet(&[("behind", &[FIRST, SECOND]), ("latest", &[FIRST, SECOND, THIRD])]).await;
    let report = migrator.baseline(Schemas::AllTenants, Baseline::to(3), options()).await?;
    assert_eq!(marked(&report, "latest"), Some(3), "{report}");
    let BaselineOutcome::OtherVersion { versions } = outcome(&report, "behind") else {
        panic!("{report}")
    };
    assert_eq!(versions, &[2]);
    assert!(report.to_string().contains("has the tables of version 2"), "{report}");

    // A file that changes rows alone leaves no trace in the schema.
    files.write("0004_rows.sql", "update users set name = lower(name);");
    let migrator = _world.manager().migrator().tenants(files.read());
    let schemas = || Schemas::tenants(["behind"]);
    let report = migrator.baseline(schemas(), Baseline::detected(), options()).await?;
    assert_eq!(marked(&report, "behind"), Some(2), "{report}");
    for (baseline, says) in [
        (Baseline::to(7), "nearest: 0004_rows.sql"),
        (Baseline::to(0), "record nothing"),
        (Baseline::detected().unchecked(true), "needs a version"),
    ] {
        let error = migrator.baseline(schemas(), baseline, options()).await.expect_err(says);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(says), "{error}");
    }
    let shared = migrator.baseline(Schemas::Shared, Baseline::detected(), options()).await;
    assert_eq!(shared.expect_err("it is of tenants").kind(), ErrorKind::Config);
    Ok(())
}

#[tokio::test]
async fn versions_that_cannot_be_told_apart_or_tried_are_not_guessed() -> TestResult {
    let (world, files, _) =
        fleet(&[("latest", &[FIRST, SECOND, THIRD]), ("ahead", &[FIRST, "create table x ();"])])
            .await;
    files.write("0004_rows.sql", "update users set name = lower(name);");
    files.write(
        "0005_role.sql",
        "create table keys (id int); grant select on keys to no_such_role;",
    );
    let migrator = world.manager().migrator().tenants(files.read());
    let report = migrator.baseline(Schemas::AllTenants, Baseline::detected(), options()).await?;
    let BaselineOutcome::Ambiguous { versions } = outcome(&report, "latest") else {
        panic!("{report}")
    };
    assert_eq!(versions, &[3, 4]);
    let BaselineOutcome::Unverified { version } = outcome(&report, "ahead") else {
        panic!("{report}")
    };
    assert_eq!(*version, Some(5), "{report}");
    assert!(report.broken.as_ref().is_some_and(|failure| failure.message.contains("no_such_role")));
    // The scratch schema is gone.
    let scratch = "select count(*)::text from pg_namespace where nspname like 'tenantry%'";
    assert_eq!(observe(&mut world.admin().await, scratch).await, "Some(\"0\")");
    let report =
        migrator.baseline(Schemas::tenants(["latest"]), Baseline::to(4), options()).await?;
    assert_eq!(marked(&report, "latest"), Some(4), "{report}");
    Ok(())
}

/// A file that changes rows, and needs some: whether it was run cannot be seen.
#[tokio::test]
async fn a_version_before_one_that_cannot_be_tried_is_not_guessed() -> TestResult {
    let (world, files, _) = fleet(&[("a", &[FIRST])]).await;
    files.write(
        "0002_email.sql",
        "do $$ begin assert exists (select from users); update users set name = lower(name); end $$;",
    );
    let migrator = world.manager().migrator().tenants(files.read());
    let report = migrator.baseline(Schemas::AllTenants, Baseline::detected(), options()).await?;
    let BaselineOutcome::Unverified { version } = outcome(&report, "a") else { panic!("{report}") };
    assert_eq!(*version, Some(2), "{report}");
    let report = migrator.baseline(Schemas::AllTenants, Baseline::to(1), options()).await?;
    assert_eq!(marked(&report, "a"), Some(1), "{report}");
    Ok(())
}

#[tokio::test]
async fn the_first_migration_is_made_of_a_live_schema() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    let role = format!("reader_{}", std::process::id());
    run(
        &mut admin,
        &format!(
            "create role {role}; create schema ext; create extension citext schema ext; create schema tenant_a; \
             set search_path = tenant_a, ext; {FIRST} {SECOND} {THIRD} \
             create type mood as enum ('sad', 'it''s {{fine}}'); \
             create table \"Odd table\" (id int generated always as identity, mood mood default 'sad', email citext); \
             create view named as select name from users; \
             create materialized view counted as select count(*) from named with no data; \
             create materialized view \"Twice\" as select 2 * count from counted with no data; \
             refresh materialized view counted; refresh materialized view \"Twice\"; \
             create function greet(who text) returns text language sql as $$ select 'hi ' || name from users where name = who $$; \
             create table parts (id int, day date) partition by range (day); \
             create table part partition of parts for values from ('2026-01-01') to ('2027-01-01'); \
             comment on table users is 'of {{schema}}.users'; grant select on users to {role}; \
             create table _sqlx_migrations (version bigint primary key)"
        ),
    )
    .await;
    let manager = world.builder().extension_schemas(["ext"]).build()?;
    let script = manager.migrator().baseline_script("tenant_a").await?;
    assert_eq!(script.differences, [], "{}", script.sql);
    assert_eq!(script.left_out, ["grants on 1 object"]);
    for never in ["tenant_a", "owner", "grant ", "_sqlx_migrations", "restrict", &role] {
        let statements = script.sql.split_once("set local").expect("it begins with that").1;
        assert!(!statements.contains(never), "{never} is in {}", script.sql);
    }
    // A tenant that it makes is the same, and the one that it was made of has it.
    let files = Files::new(&[("0001_baseline.sql", script.sql.as_str())]);
    let set: Migrations = files.read();
    let migrator = manager.migrator().tenants(set.clone());
    run(&mut admin, "drop table tenant_a._sqlx_migrations; create schema tenant_b").await;
    assert!(
        set.check().is_success()
            || manager.migrator().tenants(set).migrate(["b"], options()).await.is_ok()
    );
    let report =
        migrator.baseline(Schemas::tenants(["a"]), Baseline::detected(), options()).await?;
    assert_eq!(marked(&report, "a"), Some(1), "{report}");
    let report = migrator.migrate_all(options()).await?;
    assert!(report.is_success(), "{report}");
    let twice = "select \"?column?\"::text from tenant_b.\"Twice\"";
    assert_eq!(observe(&mut admin, twice).await, "Some(\"0\")", "a new tenant's is filled");
    let drift = manager.drift().against_tenant("a").run().await?;
    assert!(!drift.to_string().contains("missing"), "{drift}");

    let error = manager.migrator().baseline_script("nowhere").await.expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::Placement);
    manager.close().await;
    run(&mut admin, &format!("drop owned by {role}; drop role {role}")).await;
    Ok(())
}

#[tokio::test]
async fn what_the_database_says_is_told_without_a_line_of_its_source() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let db = world.manager().tenant("acme").await?;
    let error = sqlx::query("select * from absent").execute(&db).await.unwrap_err();
    assert!(error.to_string().contains("at line"), "sqlx appends it: {error}");
    let told = tenantry::ErrorReport::new(&error).to_string();
    assert_eq!(told, "error returned from database: relation \"absent\" does not exist");
    let told = format!("{:?}", tenantry::Error::from(error));
    assert!(told.contains("absent") && !told.contains("at line"), "{told}");
    Ok(())
}
