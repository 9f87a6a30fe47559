//! What a new tenant is, and what is left of one that failed.

use serde_json::json;
use sqlx::PgConnection;
use tenantry::{
    ErrorKind, Ident, TenantManager,
    migrate::{Failure, MigrateOptions, Schemas},
    provision::{CreateOptions, HowMade},
    seed::Seed,
};

use super::{by_discovery, with_table};
use crate::{
    migrate::Files,
    support::{TestResult, World, free_names, observe, run, server_version},
};

/// Everything that a failed creation could have left: schemas and rows of the catalog.
async fn traces(admin: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "select nspname::text from pg_namespace \
         where nspname not like 'pg\\_%' and nspname not in ('information_schema', 'public') \
         order by 1",
    )
    .fetch_all(admin)
    .await
    .expect("the server is running")
}

async fn count(manager: &TenantManager, id: &str, table: &'static str) -> sqlx::Result<i64> {
    let db = manager.tenant(id).await.map_err(sqlx::Error::from)?;
    sqlx::query_scalar(table).fetch_one(&db).await
}

const NOTES: &str = "select count(*) from notes";

fn two_notes() -> Seed {
    Seed::new("two notes", |tx| {
        Box::pin(async move {
            let own = tx.tenant().map(ToString::to_string);
            for id in 1..=2 {
                sqlx::query("insert into notes (id, text) values ($1, $2)")
                    .bind(id)
                    .bind(&own)
                    .execute(&mut **tx)
                    .await?;
            }
            Ok(())
        })
    })
}

#[tokio::test]
async fn a_tenant_is_created_in_one_call_and_served_in_the_next() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
    let options = CreateOptions::default().attributes(json!({ "plan": "pro" }));
    let created = provisioner.clone().seed(two_notes()).create("acme", options).await?;
    assert_eq!((created.how, created.seeds.len()), (HowMade::AtOnce, 1));
    let db = manager.tenant("acme").await?;
    assert_eq!(db.tenant().attributes()["plan"], "pro");
    let author: String = sqlx::query_scalar("select min(text) from notes").fetch_one(&db).await?;
    assert_eq!((count(&manager, "acme", NOTES).await?, author.as_str()), (2, "acme"));
    let migrator = manager.migrator().tenants(files.read());
    assert!(migrator.plan(Schemas::AllTenants, &MigrateOptions::default()).await?.is_up_to_date());
    Ok(())
}

#[tokio::test]
async fn what_fails_leaves_nothing_behind() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    let sound = Files::notes();
    let broken = Files::new(&[
        ("0001_notes.sql", "create table notes (id int);"),
        ("0002_broken.sql", "create table other (id int);\nselect 1 / 0;\n"),
    ]);
    let outside = Files::new(&[
        ("0001_notes.sql", "create table notes (id int);"),
        ("0002_index.sql", "-- no-transaction\ncreate index concurrently on notes (nothing);"),
    ]);
    let refuses = || Seed::new("refuses", |_| Box::pin(async { Err("it is Monday".into()) }));
    let outside_refuses = || Seed::with_db("refuses", |_| async { Err::<(), _>("it is Monday") });
    let (manager, provisioner) = with_table(&world, &sound).await;
    let cases = [
        (provisioner.clone().tenants(broken.read()), ErrorKind::Migration),
        (provisioner.clone().tenants(outside.read()), ErrorKind::Migration),
        (provisioner.clone().seed(refuses()), ErrorKind::Seed),
        (provisioner.clone().seed(outside_refuses()), ErrorKind::Seed),
    ];
    for (index, (provisioner, kind)) in cases.into_iter().enumerate() {
        let error = provisioner.create("acme", CreateOptions::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.tenant().map(|id| id.as_str())), (kind, Some("acme")));
        assert_eq!(traces(&mut admin).await, Vec::<String>::new(), "{index}");
        assert_eq!(observe(&mut admin, "select count(*)::text from tenants").await, "Some(\"0\")");
        assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
    }
    // The last one was there for a moment.
    free_names(&mut admin).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    Ok(())
}

#[tokio::test]
async fn an_error_names_the_file_and_the_line() -> TestResult {
    let world = World::new().await;
    for (text, line) in [
        ("create table a (id int);\n\nselect nothing from a;\n", 3),
        ("create table a (id int);\nselect 'ü', nothing;\n", 2),
        ("select 1;\ncreate tabel a (id int);", 2),
    ] {
        let files = Files::new(&[("0001_fine.sql", "select 1;\n"), ("0002_odd.sql", text)]);
        let (_, provisioner) = by_discovery(&world, &files);
        let error = provisioner.create("acme", CreateOptions::default()).await.unwrap_err();
        let source = std::error::Error::source(&error).expect("it has a reason");
        let failure = source.downcast_ref::<Failure>().expect("it is a failure of a file");
        assert_eq!((failure.version, failure.line), (Some(2), Some(line)), "{failure}");
        assert_eq!(failure.file.as_deref(), Some("0002_odd.sql"));
    }
    Ok(())
}

#[tokio::test]
async fn what_failed_is_kept_when_that_is_asked_for() -> TestResult {
    let world = World::new().await;
    let files = Files::new(&[
        ("0001_notes.sql", "create table notes (id int);"),
        ("0002_broken.sql", "select 1 / 0;"),
    ]);
    let (manager, provisioner) = by_discovery(&world, &files);
    let options = CreateOptions::default().keep_failed(true);
    let error = provisioner.create("acme", options).await.unwrap_err();
    let mut admin = world.admin().await;
    let kept = traces(&mut admin).await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(error.to_string().contains(&kept[0]), "{error}");
    let recorded =
        format!("select string_agg(version::text, ' ') from {}._sqlx_migrations", kept[0]);
    assert_eq!(observe(&mut admin, &recorded).await, "Some(\"1\")");
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
    assert_eq!(manager.tenants().await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn of_many_who_create_one_tenant_one_wins() -> TestResult {
    for steps in [false, true] {
        let world = World::new().await;
        let files = Files::notes();
        if steps {
            let index = "-- no-transaction\ncreate index concurrently on notes (text);";
            files.write("0003_index.sql", index);
        }
        let (manager, provisioner) = with_table(&world, &files).await;
        let other = world.builder().catalog(tenantry::TableCatalog::new()).build()?;
        let others = other.provisioner().tenants(files.read());
        let tasks = (0..6).map(|number| {
            let provisioner = if number % 2 == 0 { &provisioner } else { &others }.clone();
            tokio::spawn(async move { provisioner.create("acme", CreateOptions::default()).await })
        });
        let mut won = 0;
        for task in tasks.collect::<Vec<_>>() {
            match task.await? {
                Ok(_) => won += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::TenantExists, "{error:?}"),
            }
        }
        assert_eq!(won, 1);
        let mut admin = world.admin().await;
        assert_eq!(traces(&mut admin).await, ["tenant_acme"]);
        assert_eq!(count(&manager, "acme", NOTES).await?, 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_schema_or_a_row_that_is_there_already_is_left_as_it_is() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_, provisioner) = with_table(&world, &files).await;
    let mut admin = world.admin().await;
    run(&mut admin, "create schema tenant_acme; create table tenant_acme.mine (id int)").await;
    run(&mut admin, "insert into tenants (id) values ('globex')").await;
    for id in ["acme", "globex"] {
        let error = provisioner.create(id, CreateOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TenantExists, "{error:?}");
    }
    assert_eq!(traces(&mut admin).await, ["tenant_acme"]);
    let tables =
        "select string_agg(tablename, ' ') from pg_tables where schemaname = 'tenant_acme'";
    assert_eq!(observe(&mut admin, tables).await, "Some(\"mine\")");
    Ok(())
}

#[tokio::test]
async fn files_that_cannot_be_in_one_transaction_are_run_one_by_one() -> TestResult {
    let world = World::new().await;
    let files = Files::new(&[
        ("0001_mood.sql", "create type mood as enum ('sad'); create table moods (m mood);"),
        ("0002_glad.sql", "alter type mood add value 'glad';"),
        ("0003_use.sql", "insert into moods values ('glad');"),
    ]);
    let (manager, provisioner) = with_table(&world, &files).await;
    // From 17 on, the values of a type can be used in the transaction that creates it.
    let how = match server_version(&mut world.admin().await).await {
        ..17 => HowMade::InSteps,
        _ => HowMade::AtOnce,
    };
    for id in ["acme", "globex"] {
        let created = provisioner.create(id, CreateOptions::default()).await?;
        assert_eq!(created.how, how);
        assert_eq!(count(&manager, id, "select count(*) from moods").await?, 1);
    }
    let mut admin = world.admin().await;
    assert_eq!(traces(&mut admin).await, ["tenant_acme", "tenant_globex"]);
    Ok(())
}

#[tokio::test]
async fn a_tenant_can_have_a_schema_of_another_name() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    let schema = Ident::parse("Acme & \"Sons\"")?;
    let options = CreateOptions::default().container(schema.clone());
    provisioner.create("acme", options).await?;
    assert_eq!(manager.tenant("acme").await?.tenant().placement().container(), &schema);
    assert_eq!(count(&manager, "acme", NOTES).await?, 0);
    Ok(())
}

#[tokio::test]
async fn ids_and_schemas_that_cannot_be_are_refused_before_anything_is_made() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_, provisioner) = with_table(&world, &files).await;
    for id in ["", "a;drop", "public", "pg_temp", &"x".repeat(64), &"x".repeat(60)] {
        let error = provisioner.create(id, CreateOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidTenantId, "{id}");
    }
    for schema in ["public", "pg_mine", "tenantry_spare_0"] {
        let options = CreateOptions::default().container(Ident::parse(schema)?);
        let error = provisioner.create("acme", options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Placement, "{schema}");
    }
    assert_eq!(traces(&mut world.admin().await).await, Vec::<String>::new());
    Ok(())
}

/// A seed that passes over the error of a statement.
fn swallows() -> Seed {
    Seed::new("swallows", |tx| {
        Box::pin(async move {
            drop(sqlx::query("select nothing from nowhere").execute(&mut **tx).await);
            Ok(())
        })
    })
}

#[tokio::test]
async fn an_error_that_a_seed_passes_over_and_a_panic_are_failures() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let panics = Seed::new("panics", |_| Box::pin(async { panic!("on a Monday") }));
    for (provisioner, seed) in [
        (with_table(&world, &files).await.1, swallows()),
        (by_discovery(&world, &files).1, swallows()),
        (by_discovery(&world, &files).1, panics),
    ] {
        assert!(provisioner.seed(seed).create("acme", CreateOptions::default()).await.is_err());
        assert_eq!(traces(&mut world.admin().await).await, Vec::<String>::new());
    }
    Ok(())
}

#[tokio::test]
async fn what_is_made_in_steps_is_not_taken_for_a_leftover() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    files.write("0003_i.sql", "-- no-transaction\ncreate index concurrently on notes (text);");
    let (_, provisioner) = by_discovery(&world, &files);
    let (_, other) = by_discovery(&world, &files);
    let filling = tokio::spawn(async move {
        loop {
            other.fill_spares(0).await.expect("there is nothing in its way");
        }
    });
    for number in 0..25 {
        provisioner.create(format!("t{number}"), CreateOptions::default()).await?;
    }
    filling.abort();
    Ok(())
}

#[tokio::test]
async fn what_was_kept_stays_and_without_files_there_is_nothing() -> TestResult {
    let world = World::new().await;
    let broken = Files::new(&[("0001_no.sql", "select 1 / 0;")]);
    let (_, provisioner) = by_discovery(&world, &broken);
    let keep = CreateOptions::default().keep_failed(true);
    assert!(provisioner.create("acme", keep).await.is_err());
    assert_eq!(provisioner.fill_spares(0).await?.removed, 0);
    assert_eq!(traces(&mut world.admin().await).await.len(), 1);
    let (manager, provisioner) = by_discovery(&world, &Files::notes());
    provisioner.fill_spares(1).await?;
    let created = manager.provisioner().create("empty", CreateOptions::default()).await?;
    assert_eq!(created.how, HowMade::AtOnce);
    assert!(count(&manager, "empty", NOTES).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_hook_is_part_of_the_creation() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    let provisioner = provisioner.seed(two_notes()).after_create(|record, tx| {
        Box::pin(async move {
            let plan = record.attributes["plan"].as_str().ok_or("no plan")?;
            sqlx::query("insert into notes (id, text) values (3, $1)")
                .bind(plan)
                .execute(&mut **tx)
                .await?;
            Ok(())
        })
    });
    provisioner.fill_spares(1).await?;
    let pro = || CreateOptions::default().attributes(json!({ "plan": "pro" }));
    for (id, options, how) in [
        ("spare", pro(), HowMade::Spare),
        ("whole", pro(), HowMade::AtOnce),
        ("steps", pro().keep_failed(true), HowMade::InSteps),
    ] {
        assert_eq!(provisioner.create(id, options).await?.how, how);
        let found = "select count(*) from notes where text = 'pro'";
        assert_eq!(
            (count(&manager, id, NOTES).await?, count(&manager, id, found).await?),
            (3, 1),
            "{id}"
        );
    }
    let mut admin = world.admin().await;
    let before = traces(&mut admin).await;
    let error = provisioner.create("none", CreateOptions::default()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.tenant().map(ToString::to_string)),
        (ErrorKind::Seed, Some("none".into()))
    );
    let told = tenantry::ErrorReport::new(&error).to_string();
    assert!(told.ends_with("no plan"), "{told}");
    assert_eq!(traces(&mut admin).await, before, "nothing is left");
    let panics = provisioner.after_create(|_, _| Box::pin(async { panic!("it is not sound") }));
    let error = panics.create("none", pro()).await.unwrap_err();
    assert!(tenantry::ErrorReport::new(&error).to_string().ends_with("it panicked"));
    assert_eq!(manager.tenant("none").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
    Ok(())
}
