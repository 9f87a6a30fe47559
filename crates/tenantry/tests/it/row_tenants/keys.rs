//! No two tenants get the same key, however their ids are written.

use tenantry::{
    ErrorKind, Isolation, KeyType, Rows, TableCatalog, TenantManager, clone::CloneOptions,
    provision::CreateOptions,
};

use super::{Login, Scene, role};
use crate::support::{TestResult, World, run};

async fn refused(manager: &TenantManager, id: &str, options: CreateOptions) -> TestResult {
    let error = manager.provisioner().create(id, options).await.expect_err("the key is taken");
    assert_eq!(error.kind(), ErrorKind::Placement, "{id}: {error:?}");
    assert!(error.to_string().contains("choose another key"), "{id}: {error}");
    let error = manager.tenant(id).await.expect_err("it was not created");
    assert_eq!(error.kind(), ErrorKind::UnknownTenant, "{id}: {error:?}");
    Ok(())
}

/// Another process that looks up the second tenant first would serve it the rows of the first.
#[tokio::test]
async fn two_spellings_of_one_key_are_not_two_tenants() -> TestResult {
    let spellings = [
        (KeyType::BigInt, ["42", "042", "00042"]),
        (
            KeyType::Uuid,
            [
                "0188e3a5-6c1b-7b3e-9d4f-0a1b2c3d4e5f",
                "0188e3a56c1b7b3e9d4f0a1b2c3d4e5f",
                "0188E3A5-6C1B-7B3E-9D4F-0A1B2C3D4E5F",
            ],
        ),
    ];
    for (key, ids) in spellings {
        for first in 0..ids.len() {
            let world = World::new().await;
            let role = role(&world, "").await;
            let of = key.as_str();
            let sql = format!(
                "grant usage on schema public to {role}; create table notes (tenant_id {of} not null, id int)"
            );
            run(&mut world.admin().await, &sql).await;
            let rows = Isolation::rows(Rows::new().key(key).role(&role)?);
            let manager = world.builder().isolation(rows).catalog(TableCatalog::new()).build()?;
            TableCatalog::new().create_table(manager.shared()).await?;
            manager.provisioner().create(ids[first], CreateOptions::default()).await?;
            for other in ids.iter().filter(|id| **id != ids[first]) {
                refused(&manager, other, CreateOptions::default()).await?;
            }
            manager.close().await;
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_key_of_a_tenant_without_rows_is_not_given_to_another() -> TestResult {
    let scene = Scene::new(Login::Superuser).await;
    let provisioner = scene.provisioner();
    // Listed by hand, and therefore without a key on record.
    run(&mut scene.world.admin().await, "insert into tenants (id) values ('initech')").await;
    provisioner.create("acme", CreateOptions::default()).await?;
    provisioner.rename("acme", "acme-ltd").await?;
    refused(&scene.manager, "acme", CreateOptions::default()).await?;
    for key in ["acme", "initech"] {
        refused(&scene.manager, "globex", CreateOptions::default().key(key)).await?;
    }
    let copy = provisioner.clone_tenant("acme-ltd", "acme", CloneOptions::default()).await;
    let error = copy.expect_err("the key is taken");
    assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
    provisioner.create("acme", CreateOptions::default().key("acme-2")).await?;
    Ok(())
}
