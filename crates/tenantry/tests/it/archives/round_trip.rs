//! What was exported comes back as it was.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tenantry::{
    Ident, TableCatalog,
    archive::{ExportOptions, ImportOptions},
    provision::{CreateOptions, DropOptions},
};

use super::Shelf;
use crate::{
    clone::shop::Shop,
    migrate::Files,
    support::{TestResult, World, observe, run},
};

const ROWS: u64 = 1 + 100 + 500 + 100 + 50 + 2 + 360 + 3 + 2 + 20;

#[tokio::test]
async fn everything_is_as_in_the_source() -> TestResult {
    let (mut shop, shelf) = (Shop::new().await, Shelf::new());
    let manager = shop.manager();
    let archiver = manager.archiver();
    let told = Arc::new(AtomicU64::new(0));
    let tell = Arc::clone(&told);
    let options = ExportOptions::default()
        .on_progress(move |progress| tell.store(progress.rows, Ordering::Relaxed));
    let exported = archiver.export("shop", shelf.at("shop"), options).await?;
    assert_eq!((exported.manifest.rows(), told.load(Ordering::Relaxed)), (ROWS, ROWS));
    assert!(exported.manifest.remarks.is_empty(), "{exported}");
    assert_eq!(archiver.verify(shelf.at("shop")).await?, exported.manifest);
    assert_eq!(shelf.names(), ["shop"]);
    // What happens to the source afterwards does not matter.
    let options = ImportOptions::default().on_progress(|_| panic!("it is caught"));
    let imported = archiver.import(shelf.at("shop"), "copy", options).await?;
    assert_eq!((imported.rows(), &*imported.archived_tenant_id), (ROWS, "shop"));
    assert!(imported.remarks.is_empty(), "{imported}");
    shop.expect_complete_copy().await;
    // An archive of the copy has the same structure.
    let other = shop.world.manager();
    let again =
        other.archiver().export("copy", shelf.at("again"), ExportOptions::default()).await?;
    assert_eq!(again.manifest.fingerprint, exported.manifest.fingerprint);
    other.close().await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn any_name_of_a_schema_will_do() -> TestResult {
    for (from, to) in [("N\u{f6}rd-1 A", "we\"ird"), ("mood", "sch{ema"), ("users", "select")] {
        let (mut shop, shelf) = (Shop::called(from).await, Shelf::new());
        let manager = shop.manager();
        let archiver = manager.archiver();
        archiver.export("shop", shelf.at("shop"), ExportOptions::default()).await?;
        let options = ImportOptions::default().container(Ident::parse(to)?);
        let imported = archiver.import(shelf.at("shop"), "copy", options).await?;
        assert!(imported.remarks.is_empty(), "{from} as {to}: {imported}");
        shop.expect_equal_rows(to).await;
        let of = crate::schema::judge::quote(to);
        let placed = format!(
            "select bool_and(placed_in::oid = '{of}.users'::regclass::oid)::text from {of}.orders"
        );
        assert_eq!(observe(&mut shop.admin, &placed).await, "Some(\"true\")", "{from} as {to}");
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_tenant_comes_back_after_it_was_dropped() -> TestResult {
    let (world, shelf) = (World::new().await, Shelf::new());
    let manager = world.builder().catalog(TableCatalog::new()).build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    let files =
        Files::new(&[("0001_notes.sql", "create table notes (id int primary key, text text)")]);
    let provisioner = manager.provisioner().tenants(files.read());
    let attributes = serde_json::json!({ "plan": "pro" });
    provisioner.create("acme", CreateOptions::default().attributes(attributes.clone())).await?;
    let acme = manager.tenant("acme").await?;
    run(&acme, "insert into notes values (1, 'a'), (2, E'tab\\there'), (3, null), (4, '\\N')")
        .await;
    let archiver = manager.archiver();
    let exported = archiver.export("acme", shelf.at("acme"), ExportOptions::default()).await?;
    assert_eq!(exported.manifest.attributes, attributes);
    assert_eq!((&*exported.manifest.server, &*exported.manifest.schema), ("main", "tenant_acme"));
    provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    let mut imported = archiver
        .import(shelf.at("acme"), "acme", ImportOptions::default().attributes(attributes.clone()))
        .await;
    // The name of the schema is reserved for a while.
    while let Err(error) = &imported {
        let after = error.retry_after().ok_or_else(|| format!("{error:?}"))?;
        tokio::time::sleep(after).await;
        let options = ImportOptions::default().attributes(attributes.clone());
        imported = archiver.import(shelf.at("acme"), "acme", options).await;
    }
    let acme = manager.tenant("acme").await?;
    assert_eq!(acme.tenant().attributes(), &attributes);
    let notes: String = sqlx::query_scalar(
        "select string_agg(concat(id, ' ', coalesce(text, 'null')), ', ' order by id) from notes",
    )
    .fetch_one(&acme)
    .await?;
    assert_eq!(notes, "1 a, 2 tab\there, 3 null, 4 \\N");
    // Its records came with it: there is nothing to run.
    let migrated = manager.migrator().tenants(files.read()).migrate_all(Default::default()).await?;
    assert_eq!((migrated.total, migrated.up_to_date), (1, 1), "{migrated}");
    let records: i64 =
        sqlx::query_scalar("select count(*) from _sqlx_migrations").fetch_one(&acme).await?;
    assert_eq!(records, 1);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_statements_and_hashes_are_for_other_tools_too() -> TestResult {
    let (mut shop, shelf) = (Shop::new().await, Shelf::new());
    let manager = shop.manager();
    let archive = shelf.at("shop");
    manager.archiver().export("shop", &archive, ExportOptions::default()).await?;
    let checked = std::process::Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(&archive)
        .output()?;
    assert!(checked.status.success(), "{checked:?}");
    let statements = fs::read_to_string(archive.join("schema.sql"))?;
    run(&mut shop.admin, "drop schema tenant_shop cascade").await;
    run(&mut shop.admin, &statements).await;
    let tables = "select count(*)::text from pg_class where relnamespace = 'tenant_shop'::regnamespace and relkind = 'r'";
    assert_ne!(observe(&mut shop.admin, tables).await, "Some(\"0\")");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn an_export_has_one_snapshot() -> TestResult {
    let (world, shelf) = (World::with_tenants(&["acme"]).await, Shelf::new());
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create table tenant_acme.a (id int primary key, balance int not null); \
         create table tenant_acme.z (id int primary key, balance int not null); \
         create table tenant_acme.m (id int, filler text); \
         insert into tenant_acme.m select n, repeat('x', 200) from generate_series(1, 50000) n; \
         insert into tenant_acme.a values (1, 1000); insert into tenant_acme.z values (1, 0)",
    )
    .await;
    let manager = world.manager();
    let url = world.database.url().to_owned();
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let writer = tokio::spawn(async move {
        let mut conn = crate::support::connect(&url).await;
        let mut moved = 0;
        while !*stopped.borrow_and_update() {
            run(
                &mut conn,
                "begin; update tenant_acme.a set balance = balance - 1; \
                 update tenant_acme.z set balance = balance + 1; commit",
            )
            .await;
            moved += 1;
        }
        moved
    });
    let archiver = manager.archiver();
    for number in 0..5 {
        let archive = shelf.at(&format!("acme-{number}"));
        archiver.export("acme", &archive, ExportOptions::default()).await?;
        let id = format!("copy{number}");
        archiver.import(&archive, &*id, ImportOptions::default()).await?;
        let sum = format!(
            "select ((select balance from tenant_{id}.a) + (select balance from tenant_{id}.z))::text"
        );
        assert_eq!(observe(&mut admin, &sum).await, "Some(\"1000\")");
    }
    stop.send(true)?;
    assert!(writer.await? > 20, "the writer was at work");
    manager.close().await;
    Ok(())
}
