//! Tenants change their kind of isolation, leave the cluster and come back.

use sqlx::PgConnection;
use tenantry::{
    ErrorKind, Isolation, IsolationKind, Rows, ServerOptions, TableCatalog,
    archive::{ExportOptions, ImportOptions},
    drift::Reference,
    migrate::{Lint, MigrateOptions, Migrations},
    moves::{Destination, MoveMethod, MoveOptions, Obstacles},
    provision::CreateOptions,
};

use super::Cluster;
use crate::{
    migrate::Files,
    support::{TestResult, World, free_names, observe, run},
};

const TABLES: &str = "
    create table users (
        id int primary key, plan text references public.plans, email text constraint users_email unique
    );
    create table orders (
        id bigint generated always as identity primary key, owner int not null references users
    );
    create index orders_owner on orders (owner);";

const PLANS: &str =
    "create table public.plans (code text primary key); insert into plans values ('free')";

const ROWS: &str = "
    insert into users select n, 'free', n || '@example.com' from generate_series(1, 50) n;
    insert into orders (owner) select n from generate_series(1, 50) n";

/// The distributed schemas of tenants, without the copies that moves keep.
async fn distributed(admin: &mut PgConnection) -> Vec<String> {
    let all = super::distributed(admin).await.into_iter();
    all.filter(|schema| !schema.starts_with("tenantry_moved_")).collect()
}

fn set_of(files: &Files) -> Migrations {
    files.read().lint(Lint::default().allow_schema("public"))
}

fn options(files: &Files) -> MoveOptions {
    let options = MoveOptions::default().method(MoveMethod::UnderFence).tenants(set_of(files));
    options.max_pause(std::time::Duration::from_secs(60))
}

#[tokio::test]
async fn a_tenant_leaves_the_cluster_and_comes_back() -> TestResult {
    let Some(cluster) = Cluster::new("a_tenant_leaves_the_cluster").await else { return Ok(()) };
    let world = World::new().await;
    run(&mut world.admin().await, PLANS).await;
    let mut admin = cluster.admin().await;
    run(&mut admin, PLANS).await;
    run(&mut admin, "select create_reference_table('public.plans')").await;
    let files = Files::new(&[("0001_tables.sql", TABLES)]);
    let catalog = TableCatalog::new();
    let builder = tenantry::TenantManager::builder(cluster.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .server("plain", ServerOptions::new(world.database.url()));
    let manager = builder.catalog(catalog.clone()).build()?;
    catalog.create_table(manager.shared()).await?;
    let provisioner = manager.provisioner().tenants(set_of(&files));
    for id in ["acme", "globex"] {
        provisioner.create(id, CreateOptions::default()).await?;
        let db = manager.tenant(id).await?;
        for sql in ROWS.split(';') {
            sqlx::raw_sql(sql).execute(&db).await?;
        }
    }
    let check = async || -> TestResult {
        for id in ["acme", "globex"] {
            let db = manager.tenant(id).await?;
            let sql = "select count(*) from users join orders on owner = users.id \
                       join public.plans on code = plan";
            assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&db).await?, 50, "{id}");
            let stray =
                sqlx::query("insert into users values (99, 'none', 'x')").execute(&db).await;
            let error = tenantry::Error::from(stray.expect_err("there is no such plan"));
            assert!(error.is_foreign_key_violation(), "{error:?}");
            assert_eq!(error.constraint(), Some("users_plan_fkey"), "{error:?}");
        }
        let drift = manager.drift().against(Reference::Migrations(set_of(&files))).run().await?;
        assert!(drift.is_clean(), "{drift}");
        Ok(())
    };
    check().await?;
    let mover = manager.mover();
    mover.move_tenant("acme", "plain", options(&files)).await?;
    assert_eq!(distributed(&mut admin).await, ["tenant_globex"]);
    check().await?;
    // Between a distributed and a plain tenant, there is no difference.
    let drift = manager.drift().against_tenant("acme").run().await?;
    assert!(drift.is_clean(), "{drift}");
    free_names(&mut admin).await;
    mover.move_tenant("acme", "main", options(&files)).await?;
    assert_eq!(distributed(&mut admin).await, ["tenant_acme", "tenant_globex"]);
    check().await?;

    let folder = std::env::temp_dir().join(format!("tenantry-citus-{}", std::process::id()));
    let archiver = manager.archiver();
    archiver.export("acme", &folder, ExportOptions::default()).await?;
    archiver.import(&folder, "back", ImportOptions::default()).await?;
    let there = ImportOptions::default().server("plain");
    archiver.import(&folder, "there", there).await?;
    std::fs::remove_dir_all(&folder)?;
    assert_eq!(distributed(&mut admin).await, ["tenant_acme", "tenant_back", "tenant_globex"]);
    let db = manager.tenant("back").await?;
    sqlx::query("insert into orders (owner) values (1)").execute(&db).await?;
    check().await?;
    files.write("0900_more.sql", "alter table users add column more int;");
    let migrator = manager.migrator().tenants(set_of(&files));
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    assert_eq!((report.migrated, report.failed), (4, 0), "{report}");
    check().await?;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_moves_to_a_database_and_back_and_to_no_shared_tables() -> TestResult {
    let Some(cluster) = Cluster::new("a_tenant_moves_to_a_database").await else { return Ok(()) };
    let mut admin = cluster.admin().await;
    run(&mut admin, "create schema app; create table app.notes (tenant_id text, id int)").await;
    let files = Files::notes();
    let catalog = TableCatalog::new();
    let rows = Rows::new().schema("app")?.role("pg_read_all_data")?;
    let own = format!("{}_{{id}}", cluster.name);
    let builder = tenantry::TenantManager::builder(cluster.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .or_isolation(Isolation::rows(rows))
        .or_isolation(Isolation::database(&own));
    let manager = builder.catalog(catalog.clone()).build()?;
    catalog.create_table(manager.shared()).await?;
    let provisioner = manager.provisioner().tenants(set_of(&files));
    for id in ["acme", "globex"] {
        provisioner.create(id, CreateOptions::default()).await?;
        let db = manager.tenant(id).await?;
        sqlx::query("insert into notes (id, text) values (1, $1)").bind(id).execute(&db).await?;
    }
    let mover = manager.mover();
    let to_rows = Destination::isolation(IsolationKind::Row);
    let plan = mover.plan("acme", to_rows.clone(), &options(&files)).await?;
    assert!(plan.to_string().contains("isolation by row is not supported"), "{plan}");
    let refused = mover.move_tenant("acme", to_rows, options(&files)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Move, "{refused:?}");
    let obstacles =
        std::error::Error::source(&refused).and_then(|of| of.downcast_ref::<Obstacles>());
    assert!(obstacles.is_some(), "{refused:?}");
    let begun = "select (to_regclass('public.tenantry_moves') is null)::text";
    assert_eq!(observe(&mut admin, begun).await, "Some(\"true\")");

    let read = async |id: &str| -> Result<String, tenantry::Error> {
        let db = manager.tenant(id).await?;
        Ok(sqlx::query_scalar("select text from notes").fetch_one(&db).await?)
    };
    mover
        .move_tenant("acme", Destination::isolation(IsolationKind::Database), options(&files))
        .await?;
    assert_eq!((read("acme").await?, read("globex").await?), ("acme".into(), "globex".into()));
    assert_eq!(distributed(&mut admin).await, ["tenant_globex"]);
    files.write("0900_more.sql", "alter table notes add column more int;");
    let migrator = manager.migrator().tenants(set_of(&files));
    let report = migrator.migrate(["acme", "globex"], MigrateOptions::default()).await?;
    assert_eq!((report.migrated, report.failed), (2, 0), "{report}");
    free_names(&mut admin).await;
    mover
        .move_tenant("acme", Destination::isolation(IsolationKind::Schema), options(&files))
        .await?;
    assert_eq!((read("acme").await?, read("globex").await?), ("acme".into(), "globex".into()));
    assert_eq!(distributed(&mut admin).await, ["tenant_acme", "tenant_globex"]);
    manager.close().await;
    remove_databases(&cluster).await;
    Ok(())
}

/// The coordinator does not replicate what workers write: without a comparison, writes during the move would be lost.
#[tokio::test]
async fn writes_during_a_move_are_not_lost() -> TestResult {
    let Some(cluster) = Cluster::new("writes_during_a_move_are_not_lost").await else {
        return Ok(());
    };
    let files = Files::notes();
    let catalog = TableCatalog::new();
    let own = format!("{}_{{id}}", cluster.name);
    let builder = tenantry::TenantManager::builder(cluster.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .or_isolation(Isolation::database(&own));
    let manager = builder.catalog(catalog.clone()).build()?;
    catalog.create_table(manager.shared()).await?;
    let provisioner = manager.provisioner().tenants(set_of(&files));
    provisioner.create("acme", CreateOptions::default()).await?;
    let db = manager.tenant("acme").await?;
    let fill =
        "insert into notes (id, text) select n, repeat('x', 200) from generate_series(1, 20000) n";
    sqlx::query(fill).execute(&db).await?;
    let mut written = 20_000;
    for kind in [IsolationKind::Database, IsolationKind::Schema] {
        let options = || {
            let options = MoveOptions::default().verify(false).tenants(set_of(&files));
            options.max_pause(std::time::Duration::from_secs(60))
        };
        if kind == IsolationKind::Schema {
            free_names(&mut cluster.admin().await).await;
        }
        let mover = manager.mover();
        let mut moving =
            std::pin::pin!(mover.move_tenant("acme", Destination::isolation(kind), options()));
        let report = loop {
            let write = async {
                let db = manager.tenant("acme").await?;
                let insert = "insert into notes (id, text) values ($1, 'x')";
                sqlx::query(insert).bind(written + 1).execute(&db).await?;
                Ok::<_, tenantry::Error>(())
            };
            tokio::select! {
                moved = &mut moving => break moved?,
                wrote = write => written += i32::from(wrote.is_ok()),
            }
        };
        let db = manager.tenant("acme").await?;
        let (count, most): (i64, i32) =
            sqlx::query_as("select count(*), max(id) from notes").fetch_one(&db).await?;
        // The last one may have been on its way.
        assert!(count >= i64::from(written), "{kind:?}: {count} of {written} rows, {report}");
        written = most;
    }
    let mut admin = cluster.admin().await;
    assert_eq!(distributed(&mut admin).await, ["tenant_acme"]);
    manager.close().await;
    remove_databases(&cluster).await;
    Ok(())
}

async fn remove_databases(cluster: &Cluster) {
    let mut admin = cluster.admin().await;
    let left: Vec<String> =
        sqlx::query_scalar("select datname::text from pg_database where starts_with(datname, $1)")
            .bind(format!("{}_", cluster.name))
            .fetch_all(&mut admin)
            .await
            .expect("the coordinator is running");
    for database in left {
        run(&mut admin, &format!("drop database {database} with (force)")).await;
    }
}
