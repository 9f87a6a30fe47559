//! What cannot all be in one transaction is made step by step, wherever that shows.

use sqlx::PgConnection;
use tenantry::{
    ErrorKind, SchemaDiscovery, TenantManager,
    migrate::{Failure, Lint, MigrateOptions, Schemas},
    provision::{CreateOptions, DropOptions, HowMade},
    seed::Seed,
};
use tenantry_devdb::DevServer;

use super::{by_discovery, with_table};
use crate::{
    migrate::Files,
    support::{TestResult, World, connect, observe, run, server_version},
};

/// A key that is checked at the end, with rows whose check waits while the table is altered.
const DEFERRED: [(&str, &str); 3] = [
    (
        "0001_keys.sql",
        "create table a (id int primary key); \
         create table b (a int references a deferrable initially deferred);",
    ),
    ("0002_rows.sql", "insert into b values (1); insert into a values (1);"),
    ("0003_alter.sql", "alter table b add more int;"),
];

const TEMPORARY: [(&str, &str); 2] = [
    ("0001_t.sql", "create temp table scratch (id int) on commit drop; create table a (id int);"),
    ("0002_t.sql", "create temp table scratch (id int) on commit drop; create table b (id int);"),
];

const ENUM: [(&str, &str); 3] = [
    ("0001_mood.sql", "create type mood as enum ('sad'); create table moods (m mood);"),
    ("0002_glad.sql", "alter type mood add value 'glad';"),
    ("0003_use.sql", "insert into moods values ('glad');"),
];

async fn schemas(admin: &mut PgConnection) -> String {
    let sql = "select string_agg(nspname, ' ' order by nspname) from pg_namespace \
               where nspname like 'tenant%'";
    observe(admin, sql).await
}

#[tokio::test]
async fn whatever_one_transaction_refuses_is_run_file_by_file() -> TestResult {
    for files in [&DEFERRED[..], &TEMPORARY] {
        let (world, files) = (World::new().await, Files::new(files));
        let (manager, provisioner) = with_table(&world, &files).await;
        for id in ["acme", "globex"] {
            let created = provisioner.create(id, CreateOptions::default()).await?;
            assert_eq!(created.how, HowMade::InSteps);
        }
        let migrator = manager.migrator().tenants(files.read());
        let plan = migrator.plan(Schemas::AllTenants, &MigrateOptions::default()).await?;
        assert!(plan.is_up_to_date(), "{plan}");
        let made = schemas(&mut world.admin().await).await;
        assert_eq!(made, "Some(\"tenant_acme tenant_globex\")");
    }
    Ok(())
}

#[tokio::test]
async fn a_full_lock_table_is_another_reason_for_steps() -> TestResult {
    let server = DevServer::builder()
        .setting("max_connections", "20")
        .setting("max_locks_per_transaction", "10")
        .start()
        .await?;
    let tables = |of: &str| {
        // A file fits into the lock table, and all of them do not.
        let tables = (0..50).map(|table| {
            format!("create table {of}{table} (id serial primary key, a text, b text unique);\n")
        });
        tables.collect::<String>()
    };
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let files: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(index, of)| (format!("000{index}_{of}.sql"), tables(of)))
        .collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let files = Files::new(&files);
    let manager =
        TenantManager::builder(server.url()).catalog(SchemaDiscovery::default()).build()?;
    let provisioner = manager.provisioner().tenants(files.read());
    let created = provisioner.create("acme", CreateOptions::default()).await?;
    assert_eq!(created.how, HowMade::InSteps);
    // A batch that is too large for the lock table becomes a smaller one.
    let options = DropOptions::default().batch(100_000);
    let report = provisioner.drop_tenant("acme", "acme", options).await?;
    assert!(report.transactions > 2, "{report}");
    let mut admin = connect(&server.url()).await;
    assert_eq!(schemas(&mut admin).await, "None");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_seed_that_uses_what_the_files_have_added_is_run_in_steps() -> TestResult {
    let (world, files) = (World::new().await, Files::new(&ENUM[..2]));
    let (manager, provisioner) = with_table(&world, &files).await;
    let provisioner = provisioner.seed(Seed::sql("glad", "insert into moods values ('glad')"));
    let created = provisioner.create("acme", CreateOptions::default()).await?;
    assert_eq!(created.seeds.len(), 1);
    let db = manager.tenant("acme").await?;
    let moods: i64 = sqlx::query_scalar("select count(*) from moods").fetch_one(&db).await?;
    assert_eq!(moods, 1);
    Ok(())
}

#[tokio::test]
async fn what_fails_in_both_ways_is_told_as_one_file_alone_and_not_remembered() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    files.write("0003_broken.sql", "create table t (id int);\nselect 1 / 0;\n");
    let (manager, provisioner) = with_table(&world, &files).await;
    let error = provisioner.create("acme", CreateOptions::default()).await.unwrap_err();
    let source = std::error::Error::source(&error).expect("it has a reason");
    let failure = source.downcast_ref::<Failure>().expect("it is a failure of a file");
    assert_eq!((failure.version, failure.sqlstate.as_deref()), (Some(3), Some("22012")));
    let mut admin = world.admin().await;
    assert_eq!(schemas(&mut admin).await, "None");
    // One transaction is enough as soon as the reason has gone.
    let passes =
        Files::new(&[("0001_t.sql", "create table t as select 1 / public.denominator();")]);
    run(&mut admin, "create function public.denominator() returns int language sql as 'select 0'")
        .await;
    let lint = Lint::default().allow_schema("public");
    let provisioner = manager.provisioner().tenants(passes.read().lint(lint));
    assert!(provisioner.create("acme", CreateOptions::default()).await.is_err());
    run(
        &mut admin,
        "create or replace function public.denominator() returns int language sql as 'select 1'",
    )
    .await;
    let created = provisioner.create("acme", CreateOptions::default()).await?;
    assert_eq!(created.how, HowMade::AtOnce);
    Ok(())
}

/// The tenant has what the last of the files has made.
async fn moods(manager: &TenantManager, id: &str) -> Result<i64, Box<dyn std::error::Error>> {
    let db = manager.tenant(id).await?;
    Ok(sqlx::query_scalar("select count(*) from moods").fetch_one(&db).await?)
}

#[tokio::test]
async fn a_spare_that_cannot_catch_up_is_passed_over_and_replaced() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    let files = Files::new(&ENUM[..1]);
    let (manager, before) = with_table(&world, &files).await;
    before.fill_spares(2).await?;
    for (name, text) in &ENUM[1..] {
        files.write(name, text);
    }
    let after = manager.provisioner().tenants(files.read());
    let how = match server_version(&mut admin).await {
        ..17 => HowMade::InSteps,
        _ => HowMade::AtOnce,
    };
    for id in ["a", "b", "c"] {
        let created = after.create(id, CreateOptions::default()).await?;
        assert_eq!((created.how, moods(&manager, id).await?), (how, 1), "{id}");
    }
    let report = after.fill_spares(2).await?;
    assert_eq!((report.ready, report.made, report.removed), (2, 2, 0));
    let created = after.create("d", CreateOptions::default()).await?;
    assert_eq!((created.how, moods(&manager, "d").await?), (HowMade::Spare, 1));
    // The release before still has its own.
    let created = before.create("e", CreateOptions::default()).await?;
    assert_eq!((created.how, moods(&manager, "e").await?), (HowMade::Spare, 0));
    Ok(())
}

#[tokio::test]
async fn a_spare_that_somebody_has_broken_does_not_stop_sign_up() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = by_discovery(&world, &files);
    provisioner.fill_spares(1).await?;
    files.write("0003_more.sql", "alter table notes add more int;");
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "do $$ declare s text; begin select nspname into s from pg_namespace \
         where nspname like 'tenantry\\_spare\\_%'; \
         execute format('drop table %I.notes', s); end $$",
    )
    .await;
    let provisioner = manager.provisioner().tenants(files.read());
    for id in ["a", "b"] {
        let created = provisioner.create(id, CreateOptions::default()).await?;
        assert_eq!(created.how, HowMade::AtOnce, "{id}");
    }
    Ok(())
}

#[tokio::test]
async fn what_one_sign_up_brings_is_part_of_its_tenant() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    let note = |text: &'static str| {
        CreateOptions::default().seed(move |tx| {
            Box::pin(async move {
                sqlx::query("insert into notes (id, text) values (1, $1)")
                    .bind(text)
                    .execute(&mut **tx)
                    .await?;
                Ok(())
            })
        })
    };
    provisioner.create("acme", note("first")).await?;
    provisioner.fill_spares(1).await?;
    provisioner.create("globex", note("second")).await?;
    for (id, text) in [("acme", "first"), ("globex", "second")] {
        let db = manager.tenant(id).await?;
        let found: String = sqlx::query_scalar("select text from notes").fetch_one(&db).await?;
        assert_eq!(found, text);
    }
    let refuses = CreateOptions::default().seed(|_| Box::pin(async { Err("no".into()) }));
    let error = provisioner.create("initech", refuses).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Seed);
    assert_eq!(manager.tenants().await?.len(), 2);
    Ok(())
}
