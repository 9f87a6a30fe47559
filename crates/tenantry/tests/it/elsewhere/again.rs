//! A tenant is created again under the name of one that was dropped, by a process that still has connections to the
//! dropped database.

use serde_json::json;
use tenantry::{
    ErrorKind, TenantManager, migrate::MigrateOptions, provision::DropOptions, seed::Seed,
};

use super::{Host, built, of_databases, options, plain, provisioner};
use crate::{
    migrate::Files,
    support::{TestResult, observe},
};

/// Creates a tenant, uses it, and leaves idle connections of the application and of maintenance in its database.
async fn create_and_use(manager: &TenantManager, files: &Files, turn: usize) -> TestResult {
    let created = provisioner(manager, files).create("acme", options()).await;
    created.unwrap_or_else(|error| panic!("{turn}: {error:?}"));
    let db = manager.tenant("acme").await?;
    assert_eq!(plain(observe(&db, "select text from notes").await), "inside");
    let migrator = manager.migrator().tenants(files.read());
    let migrated = migrator.migrate_all(MigrateOptions::default()).await?;
    assert!(migrated.is_success(), "{turn}: {migrated}");
    Ok(())
}

#[tokio::test]
async fn the_process_that_dropped_a_database_creates_it_again() -> TestResult {
    let host = Host::new().await;
    let files = Files::notes();
    let manager = built(of_databases(&host)).await;
    for turn in 0..10 {
        create_and_use(&manager, &files, turn).await?;
        manager.provisioner().drop_tenant("acme", "acme", DropOptions::default()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_database_that_another_process_dropped_is_created_again() -> TestResult {
    let host = Host::new().await;
    let files = Files::notes();
    let (manager, other) = (built(of_databases(&host)).await, built(of_databases(&host)).await);
    for turn in 0..10 {
        create_and_use(&manager, &files, turn).await?;
        other.provisioner().drop_tenant("acme", "acme", DropOptions::default()).await?;
    }
    Ok(())
}

/// Without the lock that says that a creation is under way, another process can undo it and start over.
#[tokio::test]
async fn a_creation_whose_database_another_one_removed_reports_the_conflict() -> TestResult {
    let mut host = Host::new().await;
    let files = Files::notes();
    let manager = built(of_databases(&host).max_connections(2)).await;
    let other = provisioner(&built(of_databases(&host).max_connections(2)).await, &files);
    let overtaken = Seed::new("overtaken", move |_| {
        let other = other.clone();
        Box::pin(async move {
            // As another tenant: it does not continue, but starts over.
            other.create("acme", options().attributes(json!({ "plan": "pro" }))).await?;
            Ok(())
        })
    });
    let created = provisioner(&manager, &files).seed(overtaken).create("acme", options()).await;
    let error = created.expect_err("its database is gone");
    assert_eq!(error.kind(), ErrorKind::TenantExists, "{error:?}");
    assert_eq!(
        (host.tenants().await, host.databases().await),
        ("acme active".into(), "db_acme".into())
    );
    let db = manager.tenant("acme").await?;
    assert_eq!(plain(observe(&db, "select text from notes").await), "inside");
    Ok(())
}
