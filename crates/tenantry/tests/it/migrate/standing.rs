//! Schemas that hold tables and no migration records: nothing is run in them unless that is asked for.

use tenantry::{
    ErrorKind,
    migrate::{FailureReason, MigrateOptions, SchemaState, Schemas, WithoutRecords},
};

use super::files::{Files, migrator, tables};
use crate::support::{TestResult, World, create_tenant, run};

#[tokio::test]
async fn a_schema_that_is_no_tenant_s_is_doubtful_and_left_alone() -> TestResult {
    let (world, files) = (World::with_managed_tenants(&["acme", "globex"]).await, Files::notes());
    let mut admin = world.admin().await;
    let migrator_of_all = migrator(&world, &files);
    assert!(migrator_of_all.migrate_all(MigrateOptions::default()).await?.is_success());
    create_tenant(&mut admin, "audit").await;
    // One without tables is a new tenant.
    run(&mut admin, "create schema tenant_new").await;

    let plan = migrator_of_all.plan(Schemas::AllTenants, &MigrateOptions::default()).await?;
    assert_eq!((plan.total, plan.doubtful, plan.pending, plan.blocked), (4, 1, 1, 0));
    assert!(plan.to_string().contains("1 table, no migration records"), "{plan}");

    let report = migrator_of_all.migrate_all(MigrateOptions::default()).await?;
    assert!(report.is_success(), "{report}");
    assert_eq!((report.doubtful, report.migrated, report.up_to_date), (1, 1, 2), "{report}");
    assert!(report.to_string().contains("not a tenant's schema?"), "{report}");
    assert_eq!(tables(&mut admin, "notes").await, 3, "acme, globex and new");
    let again = migrator_of_all.plan(Schemas::AllTenants, &MigrateOptions::default()).await?;
    assert!(again.is_up_to_date(), "{again}");

    // Naming it does not make its tables the files' own.
    let report = migrator_of_all.migrate(["audit"], MigrateOptions::default()).await?;
    let error = report.tenants[0].error().expect("it needs a baseline");
    assert_eq!(error.reason, FailureReason::NeedsBaseline);
    let anyway = MigrateOptions::default().without_records(WithoutRecords::Migrate);
    assert!(migrator_of_all.migrate(["audit"], anyway).await?.is_success());
    assert_eq!(tables(&mut admin, "notes").await, 4);
    Ok(())
}

#[tokio::test]
async fn a_fleet_without_records_is_asked_for_a_baseline() -> TestResult {
    let (world, files) = (World::with_tenants(&["acme", "globex"]).await, Files::notes());
    let migrator = migrator(&world, &files);
    let plan = migrator.plan(Schemas::AllTenants, &MigrateOptions::default()).await?;
    assert_eq!((plan.blocked, plan.doubtful), (2, 0), "{plan}");
    assert!(plan.tenants.iter().all(|tenant| tenant.state == SchemaState::NeedsBaseline));
    assert!(plan.to_string().contains("a baseline?"), "{plan}");
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    assert_eq!((report.failed, report.migrated), (2, 0), "{report}");
    assert_eq!(tables(&mut world.admin().await, "_sqlx_migrations").await, 0);
    // A file that can be run over existing tables is run when that is said.
    let anyway = MigrateOptions::default().without_records(WithoutRecords::Migrate);
    assert_eq!(migrator.migrate_all(anyway).await?.migrated, 2);
    Ok(())
}

#[tokio::test]
async fn a_version_without_a_file_is_refused_with_the_nearest() -> TestResult {
    let (world, files) = (World::with_managed_tenants(&["acme"]).await, Files::notes());
    let migrator = migrator(&world, &files);
    let options = || MigrateOptions::default().to(4711);
    let errors = [
        migrator.migrate_all(options()).await.expect_err("there is no such file"),
        migrator.migrate(["acme"], options()).await.expect_err("there is no such file"),
        migrator.plan(Schemas::AllTenants, &options()).await.expect_err("there is no such file"),
        migrator
            .mark_applied(Schemas::AllTenants, Some(4711), MigrateOptions::default())
            .await
            .expect_err("there is no such file"),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Config);
        let text = error.to_string();
        assert!(text.contains("no migration of version 4711; the nearest: "), "{text}");
    }
    // What is nothing to do is said in the words of what was to be done.
    let report = migrator.revert(Schemas::AllTenants, 0, MigrateOptions::default()).await?;
    assert!(
        report.to_string().starts_with("0 of 1 tenant reverted, 1 with nothing to revert"),
        "{report}"
    );
    Ok(())
}
