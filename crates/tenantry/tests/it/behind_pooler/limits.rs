//! What cannot work is refused, and what has to be direct is direct.

use std::time::Duration;

use tenantry::{
    Error, ErrorKind, FixedCatalog, TableCatalog, TenantId, TenantRecord, provision::CreateOptions,
};

use super::{Scene, TENANTS, behind};
use crate::{
    migrate::Files,
    support::{TestResult, at_rest, code_of, kind_of, name_of, observe, run, try_run},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_not_handed_out() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    let manager = scene.manager();
    let acme = manager.tenant("acme").await?;
    let refusals = [
        acme.acquire().await.map(drop),
        acme.acquire_within(Duration::from_secs(1)).await.map(drop),
        acme.try_acquire().await.map(drop),
        manager.shared().acquire().await.map(drop),
    ];
    for refused in refusals {
        let error = Error::from(refused.expect_err("there is no session"));
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::BehindPooler, false));
        assert!(error.to_string().contains("run single statements on the handle"), "{error}");
    }
    assert_eq!(manager.snapshot().leased, 0);
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_own_search_path_has_tables_is_refused() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    let manager = behind(&scene.pooler.url(), &scene.server.url()).build()?;
    let refused =
        Error::from(name_of(&manager.tenant("acme").await?).await.expect_err("it is refused"));
    assert_eq!(refused.kind(), ErrorKind::Config, "{refused:?}");
    assert!(
        refused.to_string().contains("alter role postgres set search_path to pg_catalog"),
        "{refused}"
    );
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_is_direct() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    let manager = scene.builder().catalog(TableCatalog::new()).build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    let files = Files::new(&[(
        "0001_users.sql",
        "create table users (id int primary key, name text not null)",
    )]);
    let provisioner = manager.provisioner().tenants(files.read());
    for tenant in ["one", "two"] {
        provisioner.create(tenant, CreateOptions::default()).await?;
        let db = manager.tenant(tenant).await?;
        sqlx::query("insert into users values (1, $1)").bind(tenant).execute(&db).await?;
        assert_eq!(name_of(&db).await?, tenant);
    }
    let files = Files::new(&[
        ("0001_users.sql", "create table users (id int primary key, name text not null)"),
        (
            "0002_more.sql",
            "alter table users add column more text default 'more'; select pg_advisory_lock(1)",
        ),
    ]);
    let report = manager.migrator().tenants(files.read()).migrate_all(Default::default()).await?;
    assert!(report.is_success(), "{report}");
    for tenant in ["one", "two"] {
        let db = manager.tenant(tenant).await?;
        // The type of the row has changed.
        let all = sqlx::query("select * from users").fetch_one(&db).await?;
        assert_eq!(sqlx::Row::len(&all), 3);
    }
    provisioner.rename("two", "three").await?;
    assert_eq!(name_of(&manager.tenant("three").await?).await?, "two");
    let stale = manager.tenant("one").await?;
    provisioner.drop_tenant("one", "one", Default::default()).await?;
    let error = name_of(&stale).await.expect_err("it is gone");
    assert!(matches!(kind_of(error), ErrorKind::StaleHandle), "the handle is tied to its schema");
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_never_reaches_a_later_schema_of_the_name() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    let manager = scene.manager();
    let acme = manager.tenant("acme").await?;
    assert_eq!(name_of(&acme).await?, "acme");
    let again = "drop schema tenant_acme cascade; create schema tenant_acme; \
                 create table tenant_acme.users (id int, name text); insert into tenant_acme.users values (1, 'later')";
    run(&mut scene.admin().await, again).await;
    // Each transaction looks; a single statement relies on what its connection has seen within 5 s.
    assert_eq!(acme.begin().await.map(drop).map_err(kind_of), Err(ErrorKind::StaleHandle));
    assert_eq!(
        kind_of(name_of(&acme).await.expect_err("it is another one")),
        ErrorKind::StaleHandle
    );
    at_rest(&manager).await;
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_a_tenant_end_with_its_transaction() -> TestResult {
    let Some(scene) = Scene::new("transaction", "1").await else { return Ok(()) };
    let record = |id: &str| TenantRecord::new(TenantId::parse(id).expect("the id is valid"));
    let catalog = FixedCatalog::new([
        record("acme").setting("statement_timeout", "9s").role("pg_read_all_data".parse()?),
        record("globex"),
        record("hooli").setting("default_transaction_read_only", "on"),
    ]);
    let manager = behind(&scene.url(), &scene.server.url()).catalog(catalog).build()?;
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    for _ in 0..5 {
        let state = "select current_setting('statement_timeout') || current_user";
        assert_eq!(observe(&acme, state).await, "Some(\"9spg_read_all_data\")");
        assert_eq!(observe(&globex, state).await, "Some(\"0app\")");
    }
    let refused =
        name_of(&manager.tenant("hooli").await?).await.expect_err("it would have no effect");
    assert_eq!(kind_of(refused), ErrorKind::Config);
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_up_keeps_no_session() -> TestResult {
    let Some(scene) = Scene::new("transaction", "1").await else { return Ok(()) };
    let manager = scene.manager();
    let report = manager.warm_up(TENANTS, tenantry::WarmUp::default()).await;
    assert_eq!(report.failed, 0, "{report:?}");
    at_rest(&manager).await;
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_level_of_a_transaction_is_that_of_its_begin() -> TestResult {
    let Some(scene) = Scene::new("transaction", "1").await else { return Ok(()) };
    let manager = scene.manager();
    let acme = manager.tenant("acme").await?;
    let mut tx = acme.begin().await?;
    let set = "set transaction isolation level serializable";
    let refused = try_run(&mut *tx, set).await.expect_err("a query has run");
    assert_eq!(code_of(&refused), "error 25001");
    tx.rollback().await?;
    let mut tx = acme.begin_with("begin isolation level serializable").await?;
    let level = observe(&mut *tx, "show transaction_isolation").await;
    assert_eq!(level, "Some(\"serializable\")");
    tx.commit().await?;
    manager.close().await;
    Ok(())
}
