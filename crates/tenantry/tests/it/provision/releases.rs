//! Two releases of a service beside each other, while one takes the place of the other.

use std::time::{Duration, Instant};

use tenantry::{
    migrate::{MigrateOptions, Progress, Schemas},
    provision::{CreateOptions, HowMade},
};

use super::{by_discovery, with_table};
use crate::{
    migrate::Files,
    support::{TestResult, World, eventually, run},
};

#[tokio::test]
async fn a_tenant_that_comes_during_a_run_is_migrated_by_it() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, before) = with_table(&world, &files).await;
    before.create("a", CreateOptions::default()).await?;
    files.write("0003_more.sql", "alter table notes add more int;");
    let (ask, asked) = std::sync::mpsc::channel();
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let told = std::sync::Mutex::new(told);
    let options = MigrateOptions::default().on_progress(move |progress| {
        if let Progress::Started { tenant: Some("a") } = progress {
            let _ = ask.send(());
            let _ = told.lock().expect("nobody panics").recv();
        }
    });
    let migrator = manager.migrator().tenants(files.read());
    let late = std::thread::spawn(move || {
        asked.recv().expect("the run begins");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (world, files) = (world, Files::notes());
        runtime.expect("a runtime can be made").block_on(async {
            let other = world.builder().catalog(tenantry::TableCatalog::new()).build();
            let other = other.expect("it is sound");
            let before = other.provisioner().tenants(files.read());
            before.create("late", CreateOptions::default()).await.expect("it is free");
            other.close().await;
        });
        tell.send(()).expect("the run waits");
        world
    });
    let report = migrator.migrate_all(options).await?;
    let _world = late.join().expect("it does not panic");
    assert_eq!((report.total, report.migrated), (2, 2), "{report}");
    let plan = migrator.plan(Schemas::AllTenants, &MigrateOptions::default()).await?;
    assert!(plan.is_up_to_date(), "{plan}");
    Ok(())
}

#[tokio::test]
async fn an_instance_with_older_files_says_so() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, before) = by_discovery(&world, &files);
    assert!(before.create("a", CreateOptions::default()).await?.remarks.is_empty());
    files.write("0003_more.sql", "alter table notes add more int;");
    let migrator = manager.migrator().tenants(files.read());
    assert!(migrator.migrate_all(MigrateOptions::default()).await?.is_success());
    tokio::time::sleep(Duration::from_millis(50)).await;
    for id in ["b", "c"] {
        let remarks = before.create(id, CreateOptions::default()).await?.remarks;
        assert!(remarks.len() == 1 && remarks[0].contains("version 3"), "{remarks:?}");
    }
    let after = manager.provisioner().tenants(files.read());
    assert!(after.create("d", CreateOptions::default()).await?.remarks.is_empty());
    Ok(())
}

#[tokio::test]
async fn an_instance_with_older_files_says_so_when_there_are_newer_spares() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, before) = by_discovery(&world, &files);
    files.write("0003_more.sql", "alter table notes add more int;");
    manager.provisioner().tenants(files.read()).fill_spares(1).await?;
    let created = before.create("a", CreateOptions::default()).await?;
    assert_eq!((created.how, created.remarks.len()), (HowMade::AtOnce, 1));
    Ok(())
}

/// How long two releases run beside each other at least: a moment, or as many seconds as the environment says.
fn storm() -> Duration {
    let seconds = std::env::var("TENANTRY_STORM_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or_default())
}

#[tokio::test]
async fn two_releases_together_refuse_nobody_and_end_at_the_newest_version() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (old_manager, before) = with_table(&world, &files).await;
    let new_manager = world.builder().catalog(tenantry::TableCatalog::new()).build()?;
    files.write("0003_more.sql", "alter table notes add more int;");
    let after = new_manager.provisioner().tenants(files.read());
    let every = Duration::from_millis(30);
    before.keep_spares(2, every);
    after.keep_spares(2, every);
    let (began, least) = (Instant::now(), storm());
    let sign_up = |of: tenantry::provision::Provisioner, name: &'static str| {
        tokio::spawn(async move {
            let mut number = 0;
            while number < 40 || began.elapsed() < least {
                let id = format!("{name}{number}");
                of.create(id.as_str(), CreateOptions::default()).await?;
                number += 1;
            }
            Ok::<_, tenantry::Error>(number)
        })
    };
    let (old, new) = (sign_up(before, "old"), sign_up(after, "new"));
    let migrator = new_manager.migrator().tenants(files.read());
    while !old.is_finished() {
        let report = migrator.migrate_all(MigrateOptions::default()).await?;
        assert!(report.is_success(), "{report}");
    }
    let signed_up = old.await?? + new.await??;
    // The last instance of the old release has ended.
    old_manager.close().await;
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    assert!(report.is_success() && report.total == signed_up, "{report}");
    let plan = migrator.plan(Schemas::AllTenants, &MigrateOptions::default()).await?;
    assert!(plan.is_up_to_date(), "{plan}");
    new_manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_comes_after_the_run_is_migrated_when_it_is_first_used() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (old_manager, before) = with_table(&world, &files).await;
    let new_manager = world.builder().catalog(tenantry::TableCatalog::new()).build()?;
    files.write("0003_more.sql", "alter table notes add more int;");
    let migrator = new_manager.migrator().tenants(files.read());
    assert!(migrator.migrate_all(MigrateOptions::default()).await?.is_success());
    for id in ["late", "later"] {
        before.create(id, CreateOptions::default()).await?;
        run(&mut world.admin().await, &format!("create schema tenant_bare_{id}")).await;
        let admin = &mut world.admin().await;
        run(admin, &format!("insert into tenants (id) values ('bare_{id}')")).await;
    }
    // Something else is amiss than that it is behind: that is for people.
    run(&mut world.admin().await, "delete from tenant_later._sqlx_migrations where version = 1")
        .await;
    for id in ["late", "later", "bare_late", "bare_later"] {
        run(&new_manager.tenant(id).await?, "select 1").await;
    }
    let versions = async |id: &str| {
        let plan = migrator.plan(Schemas::tenants([id]), &MigrateOptions::default()).await;
        plan.expect("the server is running").tenants[0].applied
    };
    eventually("the tenant is migrated", async || versions("late").await == 3).await;
    assert_eq!((versions("later").await, versions("bare_late").await), (1, 0));
    new_manager.close().await;
    old_manager.close().await;
    Ok(())
}
