//! A report as a `Result`: what is left to do is an error, and nothing of the report is lost.

use std::error::Error as _;

use tenantry::{
    Error, ErrorKind, Incomplete,
    each::EachOptions,
    migrate::{MigrateOptions, MigrateReport, WithoutRecords},
    seed::{Seed, SeedOptions},
};

use crate::{
    migrate::Files,
    support::{TestResult, World},
};

#[tokio::test]
async fn what_is_left_to_do_is_an_error_with_the_whole_report() -> TestResult {
    let world = World::with_tenants(&["acme", "globex", "initech"]).await;
    let manager = world.manager();
    let taken = sqlx::raw_sql("create table notes ()");
    taken.execute(&manager.tenant("globex").await?).await?;

    let files = Files::notes();
    let migrator = manager.migrator().tenants(files.read());
    let options = || MigrateOptions::default().without_records(WithoutRecords::Migrate);
    let report = migrator.migrate_all(options()).await?;
    assert_eq!((report.migrated, report.failed), (2, 1), "{report}");
    let incomplete = report.into_result().expect_err("one has failed");
    let line = incomplete.to_string();
    assert!(line.starts_with("2 of 3 tenants migrated, 1 failed in "), "{line}");
    assert!(line.contains("; first globex: ") && line.contains("already exists"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    let error = Error::from(incomplete);
    assert_eq!(error.kind(), ErrorKind::Migration);
    let source = error.source().and_then(|source| source.downcast_ref());
    let incomplete: &Incomplete<MigrateReport> = source.ok_or("the report is the source")?;
    assert_eq!(incomplete.report().tenants.len(), 3);
    // What a `main` prints that returns it.
    assert!(format!("{error:?}").contains("already exists"), "{error:?}");

    let gone = sqlx::raw_sql("drop table notes");
    gone.execute(&manager.tenant("globex").await?).await?;
    let report = migrator.migrate_all(options()).await?.into_result()?;
    assert_eq!((report.migrated, report.up_to_date), (1, 2));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_manager_migrates_all_or_fails_with_the_report() -> TestResult {
    let world = World::with_managed_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    let files = Files::notes();
    manager.migrate(files.read()).await?;
    manager.migrate(files.read()).await?;
    for id in ["acme", "globex"] {
        let note = sqlx::query("insert into notes values (1, 'x', 'Ann')");
        note.execute(&manager.tenant(id).await?).await?;
    }

    files.write("9999_only.sql", "alter table notes add only_once int");
    let already = sqlx::raw_sql("alter table notes add only_once int");
    already.execute(&manager.tenant("acme").await?).await?;
    let error = manager.migrate(files.read()).await.expect_err("acme has the column");
    assert_eq!(error.kind(), ErrorKind::Migration);
    let source = error.source().and_then(|source| source.downcast_ref());
    let incomplete: &Incomplete<MigrateReport> = source.ok_or("the report is the source")?;
    let report = incomplete.report();
    assert_eq!((report.migrated, report.failed), (1, 1), "{report}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn every_report_over_tenants_can_be_one() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    let work = async |db: tenantry::TenantDb| match db.tenant().id().as_str() {
        "acme" => Err("no more paper"),
        _ => Ok(()),
    };
    let report = manager.for_each_tenant(EachOptions::default(), work).await?;
    let line = report.into_result().expect_err("acme has failed").to_string();
    assert!(line.starts_with("1 of 2 done, 1 failed in "), "{line}");
    assert!(line.ends_with("; first acme: no more paper"), "{line}");
    let report = manager.for_each_tenant(EachOptions::default(), async |_| Ok::<_, Error>(7));
    assert_eq!(report.await?.into_result()?.into_values().count(), 2);

    let seed = Seed::sql("two", "insert into users values (2, 'x'); select 1 / 0");
    let report = manager.seeder().seed_all(&seed, SeedOptions::default()).await?;
    let error = Error::from(report.into_result().expect_err("both fail"));
    assert_eq!(error.kind(), ErrorKind::Seed);
    assert!(format!("{error:?}").contains("division by zero"), "{error:?}");
    manager.close().await;
    Ok(())
}
