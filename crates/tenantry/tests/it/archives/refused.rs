//! What cannot be exported or imported, and why.

use std::fs;

use tenantry::{
    ErrorKind, TableCatalog,
    archive::{ExportOptions, ImportOptions},
    provision::CreateOptions,
};

use super::Shelf;
use crate::support::{TestResult, World, observe, run};

#[tokio::test]
async fn a_place_that_is_taken_is_left_alone() -> TestResult {
    let (world, shelf) = (World::with_tenants(&["acme"]).await, Shelf::new());
    let manager = world.manager();
    fs::write(shelf.at("file"), "precious")?;
    fs::create_dir(shelf.at("empty"))?;
    std::os::unix::fs::symlink(shelf.at("nowhere"), shelf.at("link"))?;
    let before = shelf.names();
    let archiver = manager.archiver();
    for name in &before {
        let export = archiver.export("acme", shelf.at(name), ExportOptions::default());
        let error = export.await.expect_err("the place is taken");
        assert_eq!(error.kind(), ErrorKind::Archive);
        assert!(error.to_string().contains("exists already"), "{error}");
    }
    let export = archiver.export("acme", shelf.at("no/folder"), ExportOptions::default());
    let error = export.await.expect_err("its parent is missing");
    assert!(error.to_string().contains("creating the folder"), "{error}");
    assert!(std::error::Error::source(&error).is_some_and(|it| it.is::<std::io::Error>()));
    assert_eq!(shelf.names(), before);
    assert_eq!(fs::read_to_string(shelf.at("file"))?, "precious");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn tenants_that_exist_or_do_not_are_told() -> TestResult {
    let (world, shelf) = (World::with_tenants(&["acme", "other"]).await, Shelf::new());
    let manager = world.manager();
    let archiver = manager.archiver();
    let unknown = archiver.export("nemo", shelf.at("nemo"), ExportOptions::default()).await;
    assert_eq!(unknown.expect_err("there is none").kind(), ErrorKind::UnknownTenant);
    assert!(shelf.names().is_empty());
    archiver.export("acme", shelf.at("acme"), ExportOptions::default()).await?;
    let taken = archiver.import(shelf.at("acme"), "other", ImportOptions::default()).await;
    assert_eq!(taken.expect_err("it exists").kind(), ErrorKind::TenantExists);
    let mut admin = world.admin().await;
    assert_eq!(observe(&mut admin, "select name from tenant_other.users").await, "Some(\"other\")");
    let missing = archiver.import(shelf.at("nothing"), "copy", ImportOptions::default()).await;
    let missing = missing.expect_err("there is no archive");
    assert_eq!(missing.kind(), ErrorKind::Archive);
    assert!(missing.to_string().contains("has no manifest.json"), "{missing}");
    let server = ImportOptions::default().server("mars");
    let error = archiver.import(shelf.at("acme"), "copy", server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Placement);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn only_tenants_with_a_schema_have_archives() -> TestResult {
    let (world, shelf) = (World::new().await, Shelf::new());
    let mut admin = world.admin().await;
    let manager = world
        .builder()
        .or_isolation(tenantry::Isolation::database("archived_{id}"))
        .catalog(TableCatalog::new())
        .build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    run(&mut admin, "insert into tenants (id, isolation) values ('big', 'database')").await;
    let error = manager.archiver().export("big", shelf.at("big"), ExportOptions::default()).await;
    let error = error.expect_err("it has a database");
    assert_eq!(error.kind(), ErrorKind::Placement);
    assert!(error.to_string().contains("it has its own database"), "{error}");
    assert!(shelf.names().is_empty());
    manager.provisioner().create("acme", CreateOptions::default()).await?;
    run(&mut admin, "update tenants set step = 'tenantry: seeds (1)' where id = 'acme'").await;
    let error = manager.archiver().export("acme", shelf.at("acme"), ExportOptions::default()).await;
    assert_eq!(error.expect_err("it is not complete").kind(), ErrorKind::Busy);
    run(&mut admin, "update tenants set step = null, state = 'moving' where id = 'acme'").await;
    let error = manager.archiver().export("acme", shelf.at("acme"), ExportOptions::default()).await;
    assert_eq!(error.expect_err("it moves").kind(), ErrorKind::Busy);
    run(&mut admin, "update tenants set state = 'suspended' where id = 'acme'").await;
    manager.archiver().export("acme", shelf.at("acme"), ExportOptions::default()).await?;
    // A record that says otherwise decides.
    run(&mut admin, "insert into tenants (id, isolation, step) values ('copy', 'database', 'x')")
        .await;
    let error = manager.archiver().import(shelf.at("acme"), "copy", ImportOptions::default()).await;
    let error = error.expect_err("it would get a database");
    assert!(matches!(error.kind(), ErrorKind::Placement | ErrorKind::TenantExists), "{error:?}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_with_a_role_needs_one_again() -> TestResult {
    let (world, shelf) = (World::with_tenants(&["acme"]).await, Shelf::new());
    let mut admin = world.admin().await;
    let (from, to) = ("archived_from", "archived_to");
    for role in [from, to] {
        let sql = format!(
            "do $$ begin create role {role}; exception when duplicate_object or unique_violation then null; end $$"
        );
        run(&mut admin, &sql).await;
    }
    let columns = tenantry::CatalogColumns::new().container("container").role("role");
    let manager = world.builder().catalog(TableCatalog::new().columns(columns)).build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    run(&mut admin, "alter table tenants add column role text").await;
    run(&mut admin, &format!("insert into tenants (id, role) values ('acme', '{from}')")).await;
    run(&mut admin, &format!("grant usage on schema tenant_acme to {from}; grant select on tenant_acme.users to {from}")).await;
    let archiver = manager.archiver();
    let exported = archiver.export("acme", shelf.at("acme"), ExportOptions::default()).await?;
    assert_eq!(exported.manifest.role.as_deref(), Some(from));
    let error =
        archiver.import(shelf.at("acme"), "copy", ImportOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("ImportOptions::role"), "{error}");
    let options = ImportOptions::default().role(tenantry::Ident::parse(to)?);
    archiver.import(shelf.at("acme"), "copy", options).await?;
    let may = format!(
        "select concat_ws(' ', has_table_privilege('{to}', 'tenant_copy.users', 'select'), \
         has_table_privilege('{from}', 'tenant_copy.users', 'select'))"
    );
    assert_eq!(observe(&mut admin, &may).await, "Some(\"t f\")");
    manager.close().await;
    Ok(())
}
