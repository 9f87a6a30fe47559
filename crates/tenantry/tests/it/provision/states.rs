//! Suspending, resuming and renaming.

use tenantry::{ErrorKind, provision::CreateOptions};

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
    run(&mut admin, "select pg_advisory_unlock_all()").await;
    provisioner.rename("acme", "globex").await?;
    Ok(())
}
