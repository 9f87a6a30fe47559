//! `&TenantDb` goes wherever sqlx takes an executor.

use futures_util::{StreamExt, TryStreamExt};
use sqlx::{Executor, Postgres, QueryBuilder, Row, SqlSafeStr, Statement};
use tenantry::{SharedDb, TenantDb};

use crate::support::{TestResult, World, at_rest, code_of, run};

#[tokio::test]
async fn every_way_to_fetch_works() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    let series = "select n from generate_series(1, 1000) n";

    let rows: Vec<i32> = sqlx::query_scalar::<_, i32>(series).fetch(&db).try_collect().await?;
    assert_eq!(rows.len(), 1000);
    let some: Vec<i32> =
        sqlx::query_scalar::<_, i32>(series).fetch(&db).take(3).try_collect().await?;
    assert_eq!(some, [1, 2, 3]);
    assert_eq!(sqlx::query(series).fetch_all(&db).await?.len(), 1000);
    assert_eq!(sqlx::query(series).fetch_one(&db).await?.get::<i32, _>(0), 1);
    assert!(sqlx::query("select 1 where false").fetch_optional(&db).await?.is_none());
    let error = sqlx::query("select 1 where false").fetch_one(&db).await.expect_err("no row");
    assert!(matches!(error, sqlx::Error::RowNotFound));
    let done = sqlx::query("update users set name = name").execute(&db).await?;
    assert_eq!(done.rows_affected(), 1);
    assert_eq!(db.fetch_all("select 1; select 2").await?.len(), 2);
    let error = db.execute("select nonsense").await.expect_err("no such column");
    assert_eq!(code_of(&error), "error 42703");
    db.ping().await?;
    manager.shared().ping().await?;
    at_rest(&manager).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_query_builder_a_statement_and_a_description_work() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.one_session();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);

    let mut insert = QueryBuilder::<Postgres>::new("insert into users ");
    insert.push_values([(2, "two"), (3, "three")], |mut row, (id, name)| {
        row.push_bind(id).push_bind(name);
    });
    assert_eq!(insert.build().execute(&acme).await?.rows_affected(), 2);

    let sql = "select name from users where id = $1".into_sql_str();
    let statement = (&acme).prepare(sql).await?;
    for (db, name) in [(&acme, "acme"), (&globex, "globex")] {
        let row = statement.query().bind(1).fetch_one(db).await?;
        assert_eq!(row.get::<&str, _>(0), name);
    }
    let sql = "select id, name from users".into_sql_str();
    assert_eq!((&acme).describe(sql).await?.columns.len(), 2);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn copy_goes_in_and_out_on_a_lease() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    let mut lease = db.acquire().await?;
    let mut copy = lease.copy_in_raw("copy users from stdin").await?;
    copy.send(b"2\ttwo\n3\tthree\n".as_slice()).await?;
    assert_eq!(copy.finish().await?, 2);
    let chunks: Vec<_> = lease.copy_out_raw("copy users to stdout").await?.try_collect().await?;
    assert_eq!(chunks.concat(), b"1\tacme\n2\ttwo\n3\tthree\n");
    drop(lease);
    let globex = manager.tenant("globex").await?;
    let count: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&globex).await?;
    assert_eq!(count, 1);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn many_statements_on_one_handle_run_at_once() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let db = manager.tenant("acme").await?;
    let sleep = || sqlx::query("select pg_sleep(0.2)").execute(&db);
    let began = std::time::Instant::now();
    tokio::try_join!(sleep(), sleep(), sleep(), sleep(), sleep())?;
    assert!(began.elapsed() < std::time::Duration::from_millis(900), "{:?}", began.elapsed());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_handle_reaches_the_tables_of_its_tenant_through_functions_of_all() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    run(
        &mut world.admin().await,
        "create function public.add_user(id int) returns void language plpgsql as \
         'begin insert into users values (id, ''added''); end'",
    )
    .await;
    let manager = world.one_session();
    for id in ["acme", "globex"] {
        let db = manager.tenant(id).await?;
        sqlx::query("select public.add_user(2)").execute(&db).await?;
        let count: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&db).await?;
        assert_eq!(count, 2);
    }
    manager.close().await;
    Ok(())
}

/// Compiles only when what is passed can be moved between threads.
fn is_send<T: Send>(value: T) -> T {
    value
}

/// Never called: that it compiles is the promise.
#[expect(dead_code, reason = "the compiler is the test")]
fn public_futures_can_be_moved_between_threads(
    manager: &'static tenantry::TenantManager,
    db: &'static TenantDb,
    shared: &'static SharedDb,
    id: tenantry::TenantId,
) {
    let id: &'static tenantry::TenantId = Box::leak(Box::new(id));
    drop(is_send(manager.tenant("acme")));
    drop(is_send(manager.tenants()));
    drop(is_send(manager.invalidate(id)));
    drop(is_send(manager.close()));
    drop(is_send(manager.close_within(std::time::Duration::ZERO)));
    drop(is_send(db.acquire()));
    drop(is_send(db.begin()));
    drop(is_send(db.ping()));
    drop(is_send(shared.acquire()));
    drop(is_send(shared.begin()));
    drop(is_send(sqlx::query("select 1").execute(db)));
    drop(is_send(sqlx::query("select 1").fetch_all(db)));
    drop(is_send(sqlx::query("select 1").fetch(shared)));
    drop(is_send(async move {
        let mut tx = db.begin().await?;
        sqlx::query("select 1").execute(&mut *tx).await?;
        let mut savepoint = tx.begin().await?;
        sqlx::query("select 1").execute(&mut *savepoint).await?;
        savepoint.commit().await?;
        tx.commit().await
    }));
    drop(is_send(async move { db.begin().await?.rollback().await }));
    drop(is_send(tenantry::context::scope(db.clone(), async { tenantry::context::current() })));
    drop(is_send(async { tenantry::TableCatalog::new().create_table(shared).await }));
}
