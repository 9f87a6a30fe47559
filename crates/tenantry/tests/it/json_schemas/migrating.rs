//! Runs, plans and what the files are warned of.

use tenantry::{
    TenantManager,
    migrate::{
        Action, Failure, FileFinding, MigrateOptions, OnFailure, Outcome, SchemaState, Schemas,
        TenantMigrator,
    },
};

use super::judge::check;
use crate::{
    migrate::Files,
    support::{TestResult, World, run},
};

const TENANTS: &[&str] = &["acme", "globex", "initech"];

fn options() -> MigrateOptions {
    MigrateOptions::default().concurrency(1)
}

/// Files that fail where two users have the same name, outside a transaction.
fn files() -> Files {
    Files::new(&[
        ("1_notes.sql", "create table notes (id int primary key);\n"),
        ("1_notes.down.sql", "drop table notes;\n"),
        (
            "2_names.sql",
            "-- no-transaction\ncreate unique index concurrently names on users (name);\n",
        ),
        ("3_text.sql", "lock table users;\nalter table notes add text text;\n"),
        ("3_text.down.sql", "alter table notes drop text;\n"),
        ("9_gone.down.sql", "drop table gone;\n"),
    ])
}

async fn fleet(world: &World, files: &Files) -> (TenantManager, TenantMigrator) {
    let manager = world.manager();
    let shared = Files::new(&[("1_plans.sql", "create table plans (id int primary key)")]);
    let migrator = manager.migrator().tenants(files.read()).shared(shared.read());
    let twice = "insert into tenant_globex.users values (2, 'globex')";
    run(&mut world.admin().await, twice).await;
    (manager, migrator)
}

#[tokio::test]
async fn runs_and_plans() -> TestResult {
    let (world, files) = (World::with_managed_tenants(TENANTS).await, files());
    let (manager, migrator) = fleet(&world, &files).await;

    let plan = migrator.plan(Schemas::AllTenants, &options()).await?;
    assert_eq!((plan.pending, plan.stray.len(), plan.lint.warnings.len()), (3, 1, 1), "{plan}");
    check(&plan);

    let report = migrator.migrate_all(options().on_failure(OnFailure::Abort)).await?;
    assert_eq!((report.migrated, report.failed, report.not_started), (1, 1, 1), "{report}");
    let written = check(&report);
    assert_eq!(written["tenants"][1]["error"]["reason"], "statement");
    let report = migrator.migrate_all(options()).await?;
    assert_eq!((report.migrated, report.up_to_date, report.failed), (1, 1, 1), "{report}");
    check(&report);

    let plan = migrator.plan(Schemas::AllTenants, &options()).await?;
    let globex = &plan.tenants[1];
    assert_eq!((globex.begun.len(), globex.invalid.len()), (1, 1), "{plan}");
    assert_eq!(globex.state, SchemaState::Dirty, "{plan}");
    check(&plan);

    files.write("1_notes.sql", "create table notes (id bigint primary key);\n");
    files.write("0_early.sql", "create table early (id int primary key);\n");
    let edited = manager.migrator().tenants(files.read());
    let plan = edited.plan(Schemas::tenants(["acme", "nobody"]), &options()).await?;
    assert_eq!(plan.tenants[0].problems.len(), 2, "{plan}");
    assert!(plan.tenants[1].error.is_some(), "{plan}");
    check(&plan);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn jobs_beside_running_files() -> TestResult {
    let (world, files) = (World::with_managed_tenants(&["acme", "globex"]).await, files());
    let (manager, migrator) = fleet(&world, &files).await;
    let report = migrator.migrate(["acme", "globex"], options()).await?;
    assert_eq!((report.migrated, report.failed), (1, 1), "{report}");

    let report = migrator.revert(Schemas::tenants(["acme"]), 2, options()).await?;
    assert_eq!(report.tenants[0].files[0].action, Action::Reverted, "{report}");
    check(&report);
    let report = migrator.revert(Schemas::tenants(["acme"]), 0, options()).await?;
    assert_eq!(report.failed, 1, "{report}");
    check(&report);
    let report = migrator.mark_applied(Schemas::tenants(["acme"]), None, options()).await?;
    assert!(matches!(report.tenants[0].outcome, Outcome::Marked), "{report}");
    check(&report);
    let report = migrator.forget_dirty(Schemas::tenants(["globex"]), options()).await?;
    assert!(matches!(report.tenants[0].outcome, Outcome::Forgotten), "{report}");
    check(&report);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_files() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let files = Files::new(&[
        ("1_wrong.sql", "create table tenant_acme.notes (id int);\nset search_path = public;\n"),
        ("2_risky.sql", "drop table users;\nlock table users;\n"),
        ("3_fails.sql", "select 1;\nselect nothing();\n"),
    ]);
    let manager = world.manager();
    let migrator = manager.migrator().tenants(files.read());
    let plan = migrator.plan(Schemas::AllTenants, &options()).await?;
    assert_eq!(plan.lint.errors.len(), 2, "{plan}");
    assert!(!plan.lint.warnings.is_empty(), "{plan}");
    check(&plan.lint);
    check::<FileFinding>(&plan.lint.errors[0]);
    check(&plan);

    files.remove("1_wrong.sql");
    files.remove("2_risky.sql");
    let migrator = manager.migrator().tenants(files.read());
    let report = migrator.migrate_all(options()).await?;
    let failure: &Failure = report.tenants[0].error().expect("there is no such function");
    let written = check(failure);
    assert_eq!((&written["line"], &written["sqlstate"]), (&2.into(), &"42883".into()), "{report}");
    manager.close().await;
    Ok(())
}
