//! An export or an import that is dropped leaves nothing behind.

use std::time::Duration;

use tenantry::{
    ErrorKind,
    archive::{ExportOptions, ImportOptions},
};
use tokio::time::timeout;

use super::Shelf;
use crate::support::{TestResult, World, eventually, observe, run};

#[tokio::test]
async fn a_half_archive_is_never_there() -> TestResult {
    let (world, shelf) = (World::with_tenants(&["acme"]).await, Shelf::new());
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create table tenant_acme.many (id int primary key, text text); \
         insert into tenant_acme.many select n, repeat(md5(n::text), 6) from generate_series(1, 60000) n",
    )
    .await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let idle = "select count(*)::text from pg_stat_activity where datname = current_database() \
                and application_name like 'tenantry/%' and state <> 'idle'";
    let mut cut = 0;
    for millis in (0..200).step_by(4) {
        let export = archiver.export("acme", shelf.at("acme"), ExportOptions::default());
        let exported = timeout(Duration::from_millis(millis), export).await;
        cut += usize::from(exported.is_err());
        let is_whole = exported.ok().transpose()?.is_some();
        eventually("no folder is left that is not whole", async || {
            shelf.names().iter().all(|name| name == "acme")
        })
        .await;
        // It can be whole although it was dropped: while it got its name.
        if is_whole || shelf.at("acme").exists() {
            archiver.verify(shelf.at("acme")).await?;
            std::fs::remove_dir_all(shelf.at("acme"))?;
        }
        eventually("the sessions are idle", async || {
            observe(&mut admin, idle).await == "Some(\"0\")"
        })
        .await;
    }
    assert!(cut > 0, "at least one export was cut off");
    // The tables are not locked any longer.
    run(&mut admin, "set lock_timeout = '2s'; alter table tenant_acme.many add column more text")
        .await;
    archiver.export("acme", shelf.at("acme"), ExportOptions::default()).await?;
    let mut cut = 0;
    for millis in [5, 40, 80, 160] {
        let import = archiver.import(shelf.at("acme"), "copy", ImportOptions::default());
        if timeout(Duration::from_millis(millis), import).await.is_ok() {
            break;
        }
        cut += 1;
        let there = "select count(*)::text from pg_namespace where nspname = 'tenant_copy'";
        eventually("the sessions are idle", async || {
            observe(&mut admin, idle).await == "Some(\"0\")"
        })
        .await;
        assert_eq!(observe(&mut admin, there).await, "Some(\"0\")");
        let unknown = manager.tenant("copy").await.expect_err("it was not created");
        assert_eq!(unknown.kind(), ErrorKind::UnknownTenant);
    }
    assert!(cut > 0, "at least one import was cut off");
    manager.close().await;
    Ok(())
}
