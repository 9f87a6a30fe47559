//! Suspending, resuming and renaming.

use std::time::Duration;

use tenantry::{
    ErrorKind,
    provision::{CreateOptions, DropOptions},
};

use super::{by_discovery, with_table};
use crate::{
    migrate::Files,
    support::{TestResult, World, free_names, run},
};

#[tokio::test]
async fn a_suspended_tenant_is_refused_and_served_again_when_resumed() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    manager.tenant("acme").await?;
    provisioner.suspend("acme").await?;
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::Suspended);
    provisioner.suspend("acme").await?;
    provisioner.resume("acme").await?;
    manager.tenant("acme").await?;
    let unknown = provisioner.suspend("nobody").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::UnknownTenant);
    Ok(())
}

#[tokio::test]
async fn a_catalog_without_states_says_so() -> TestResult {
    let (world, files) = (World::with_tenants(&["acme"]).await, Files::notes());
    let (manager, provisioner) = by_discovery(&world, &files);
    let error = provisioner.suspend("acme").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Catalog, "{error}");
    manager.tenant("acme").await?;
    Ok(())
}

#[tokio::test]
async fn a_renamed_tenant_keeps_its_data_and_the_old_id_is_unknown() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let other = World::new().await;
    for (world, (manager, provisioner)) in
        [(&world, with_table(&world, &files).await), (&other, by_discovery(&other, &files))]
    {
        provisioner.create("acme", CreateOptions::default()).await?;
        let db = manager.tenant("acme").await?;
        sqlx::query("insert into notes (id, text) values (1, 'x')").execute(&db).await?;
        provisioner.rename("acme", "globex").await?;
        assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
        let db = manager.tenant("globex").await?;
        let notes: i64 = sqlx::query_scalar("select count(*) from notes").fetch_one(&db).await?;
        assert_eq!(notes, 1);
        assert_eq!(db.tenant().placement().container().as_str(), "tenant_globex");
        free_names(&mut world.admin().await).await;
        provisioner.create("acme", CreateOptions::default()).await?;
        let taken = provisioner.rename("acme", "globex").await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::TenantExists, "{taken:?}");
        manager.tenant("acme").await?;
        let unknown = provisioner.rename("nobody", "somebody").await.unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::UnknownTenant);
    }
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_is_being_migrated_is_not_renamed() -> TestResult {
    let (world, files) = (World::with_tenants(&["acme"]).await, Files::notes());
    let (_, provisioner) = by_discovery(&world, &files);
    let mut admin = world.admin().await;
    let lock = "select pg_advisory_lock(hashtextextended('tenant_acme', 7234619037115))";
    run(&mut admin, lock).await;
    let error = provisioner.rename("acme", "globex").await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Busy, true));
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut admin).await?;
    let says = format!("dropping it: process {pid} of role postgres");
    assert!(error.to_string().contains(&says), "{error}");
    run(&mut admin, "select pg_advisory_unlock_all()").await;
    provisioner.rename("acme", "globex").await?;
    Ok(())
}

#[tokio::test]
async fn the_session_that_a_rename_waits_for_in_vain_is_named() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.builder().tenants_see_shared(true).build()?;
    let mut lease = manager.tenant("acme").await?.acquire().await?;
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *lease).await?;
    let provisioner = manager.provisioner();
    let renamed = provisioner.rename("acme", "globex").await.unwrap_err();
    let dropped =
        provisioner.drop_tenant("acme", "acme", DropOptions::default()).await.unwrap_err();
    for error in [renamed, dropped] {
        assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
        let says = format!(
            "would continue in the shared schema: process {pid} of role postgres (tenantry/"
        );
        assert!(error.to_string().contains(&says), "{error}");
    }
    drop(lease);
    provisioner.rename("acme", "globex").await?;
    // A lock on one of its tables has the session that holds it, too.
    let mut reads = world.admin().await;
    run(&mut reads, "begin; select count(*) from tenant_globex.users").await;
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut reads).await?;
    let options = DropOptions::default().lock_timeout(Duration::from_millis(100));
    let held = provisioner.drop_tenant("globex", "globex", options).await.unwrap_err();
    let text = format!("{held:?}");
    assert!(text.contains(&format!("process {pid} of role postgres")), "{text}");
    assert!(text.contains(", in a transaction for "), "{text}");
    manager.close().await;
    Ok(())
}
