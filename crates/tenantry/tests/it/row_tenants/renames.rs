use tenantry::{
    ErrorKind,
    provision::{CreateOptions, DropOptions},
};

use super::{Login, Scene};
use crate::support::{TestResult, kind_of, observe, run};

#[tokio::test]
async fn a_renamed_tenant_keeps_its_rows_and_their_key() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    scene.create(&["acme", "globex"]).await;
    let (manager, provisioner) = (scene.manager.clone(), scene.provisioner());
    let stale = manager.tenant("acme").await?;
    provisioner.rename("acme", "umbrella").await?;
    assert_eq!(kind_of(stale.acquire().await.unwrap_err()), ErrorKind::StaleHandle);
    let db = manager.tenant("umbrella").await?;
    assert_eq!(db.tenant().placement().key(), Some("acme"));
    assert_eq!(observe(&db, "select count(*)::text from users").await, "Some(\"3\")");
    run(&db, "insert into users (id, name) values (4, 'd')").await;
    assert_eq!(scene.rows("users").await, "acme 4, globex 3");
    // The next tenant of the name never gets its rows.
    let error = provisioner.create("acme", CreateOptions::default()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Placement | ErrorKind::TenantExists), "{error:?}");
    provisioner.create("acme", CreateOptions::default().key("another")).await?;
    assert_eq!(
        observe(&manager.tenant("acme").await?, "select count(*)::text from users").await,
        "Some(\"0\")"
    );
    let error = provisioner.rename("umbrella", "globex").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TenantExists, "{error:?}");
    provisioner.drop_tenant("umbrella", "umbrella", DropOptions::default()).await?;
    assert_eq!(scene.rows("users").await, "globex 3");
    Ok(())
}

#[tokio::test]
async fn a_catalog_without_a_place_for_the_key_refuses_a_rename() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme"]).await;
    run(&mut scene.admin, "alter table tenants drop column key").await;
    let error = scene.provisioner().rename("acme", "umbrella").await.unwrap_err();
    assert!(error.to_string().contains("has no columns for the tenant's placement"), "{error}");
    assert_eq!(scene.rows("users").await, "acme 3");
    Ok(())
}

#[tokio::test]
async fn suspending_and_resuming_concern_the_catalog_alone() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    scene.create(&["acme"]).await;
    scene.provisioner().suspend("acme").await?;
    assert_eq!(scene.manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::Suspended);
    scene.provisioner().resume("acme").await?;
    scene.manager.tenant("acme").await?;
    assert_eq!(scene.rows("users").await, "acme 3");
    Ok(())
}
