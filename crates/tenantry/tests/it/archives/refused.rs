//! What cannot be exported or imported, and why.

use std::fs;

use tenantry::{
    ErrorKind, Isolation, TableCatalog, TenantManager,
    archive::{DiffOptions, ExportOptions, ImportOptions, MergeOptions},
    clone::CloneOptions,
    provision::CreateOptions,
};
use tenantry_devdb::DevServer;

use super::Shelf;
use crate::{
    migrate::Files,
    support::{TestResult, World, connect, observe, run},
};

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

/// Copies of a part of the rows would be worse than none, and the server does not say how to get all of them.
#[tokio::test]
async fn policies_that_hide_rows_from_the_role_of_maintenance_are_told_with_what_to_do()
-> TestResult {
    let (server, shelf) = (DevServer::start().await?, Shelf::new());
    let mut admin = connect(&server.url()).await;
    run(
        &mut admin,
        "create role boss login; grant create on schema public to boss; \
         do $$ begin execute format('grant create on database %I to boss', current_database()); end $$",
    )
    .await;
    let files = Files::new(&[(
        "0001_notes.sql",
        "create table notes (id int primary key, text text); insert into notes values (1, 'a'); \
         alter table notes enable row level security, force row level security; \
         create policy own on notes using (text = current_setting('tenantry.tenant', true));",
    )]);
    let url = server.url().replace("//postgres@", "//boss@");
    let builder = TenantManager::builder(url).isolation(Isolation::schema("tenant_{id}"));
    let manager = builder.catalog(TableCatalog::new()).build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    let provisioner = manager.provisioner().tenants(files.read());
    for id in ["acme", "globex"] {
        provisioner.create(id, CreateOptions::default()).await?;
    }
    let archiver = manager.archiver();
    let refusals = async || {
        let export = archiver.export("acme", shelf.at("acme"), ExportOptions::default());
        let clone = provisioner.clone_tenant("acme", "twin", CloneOptions::default().data(true));
        let diff = archiver.diff("acme", "globex", DiffOptions::default());
        let merge = MergeOptions::default().tables(["notes"]);
        let merge = archiver.merge("acme", "globex", merge);
        [
            ("export", export.await.map(drop)),
            ("clone", clone.await.map(drop)),
            ("diff", diff.await.map(drop)),
            ("merge", merge.await.map(drop)),
        ]
    };
    for (what, done) in refusals().await {
        let error = done.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{what}: {error:?}");
        let told = error.to_string();
        assert!(told.contains("notes") && told.contains("grant it bypassrls"), "{what}: {told}");
    }
    run(&mut admin, "alter role boss bypassrls").await;
    for (what, done) in refusals().await {
        done.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    }
    manager.close().await;
    Ok(())
}
