//! A transaction is all or nothing, and its end leaves the connection fit for the next.

use sqlx::{Connection, Executor};
use tenantry::{ErrorKind, TenantDb};

use crate::support::{
    TestResult, World, at_rest, code_of, idle_in_transaction, kind_of, name_of, run, try_run,
};

async fn ids(db: &TenantDb) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar("select id from users order by id").fetch_all(db).await
}

async fn add(conn: impl Executor<'_, Database = sqlx::Postgres>, id: i32) -> sqlx::Result<()> {
    sqlx::query("insert into users values ($1, 'new')").bind(id).execute(conn).await.map(drop)
}

#[tokio::test]
async fn only_what_is_committed_lasts() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;

    let mut tx = db.begin().await?;
    assert_eq!(tx.tenant(), Some(db.tenant().id()));
    add(&mut *tx, 2).await?;
    tx.commit().await?;
    let mut tx = db.begin().await?;
    add(&mut *tx, 3).await?;
    tx.rollback().await?;
    let mut tx = db.begin().await?;
    add(&mut *tx, 4).await?;
    drop(tx);
    assert_eq!(ids(&db).await?, [1, 2]);

    let mut tx = db.begin().await?;
    add(&mut *tx, 5).await?;
    let error = add(&mut *tx, 5).await.expect_err("it is there already");
    assert_eq!(code_of(&error), "error 23505");
    let error = add(&mut *tx, 6).await.expect_err("the transaction has failed");
    assert_eq!(code_of(&error), "error 25P02");
    drop(tx);
    assert_eq!(ids(&db).await?, [1, 2]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn savepoints_are_kept_undone_and_dropped_each_on_its_own() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    let mut tx = db.begin().await?;
    let mut kept = tx.begin().await?;
    add(&mut *kept, 2).await?;
    let mut inner = kept.begin().await?;
    add(&mut *inner, 3).await?;
    inner.rollback().await?;
    let mut inner = kept.begin().await?;
    add(&mut *inner, 4).await?;
    inner.commit().await?;
    kept.commit().await?;
    let mut undone = tx.begin().await?;
    add(&mut *undone, 5).await?;
    undone.rollback().await?;
    let mut dropped = tx.begin().await?;
    add(&mut *dropped, 6).await?;
    drop(dropped);
    let mut failed = tx.begin().await?;
    add(&mut *failed, 1).await.expect_err("it is there already");
    drop(failed);
    add(&mut *tx, 7).await?;
    tx.commit().await?;
    assert_eq!(ids(&db).await?, [1, 2, 4, 7]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_constraint_that_fails_at_commit_undoes_everything() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create table tenant_acme.posts (author int references tenant_acme.users \
         deferrable initially deferred)",
    )
    .await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    let mut tx = db.begin().await?;
    add(&mut *tx, 2).await?;
    sqlx::query("insert into posts values (99)").execute(&mut *tx).await?;
    let error = tx.commit().await.expect_err("there is no such author");
    assert_eq!(code_of(&error), "error 23503");
    assert_eq!(ids(&db).await?, [1]);
    at_rest(&manager).await;
    assert_eq!(idle_in_transaction(&mut admin).await, 0);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_cannot_begin_says_why() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    let held = db.acquire().await?;
    let manager_of_impatient = world.with_pool(|options| {
        options.max_connections = 1;
        options.acquire_timeout = std::time::Duration::from_millis(500);
    });
    let impatient = manager_of_impatient.tenant("acme").await?;
    let tx = impatient.begin().await?;
    let error = impatient.begin().await.expect_err("the only connection is in use");
    assert_eq!(kind_of(error), ErrorKind::Timeout);
    drop((tx, held));
    manager.close().await;
    manager_of_impatient.close().await;
    Ok(())
}

#[tokio::test]
async fn the_shared_schema_has_transactions_too() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    run(&mut world.admin().await, "create table plans (id int primary key, name text)").await;
    let manager = world.one_session();
    let mut tx = manager.shared().begin().await?;
    assert_eq!(tx.tenant(), None);
    sqlx::query("insert into plans values (1, 'gold')").execute(&mut *tx).await?;
    tx.commit().await?;
    let joined: (String, String) =
        sqlx::query_as("select u.name, p.name from users u join public.plans p on p.id = u.id")
            .fetch_one(&manager.tenant("acme").await?)
            .await?;
    assert_eq!(joined, ("acme".into(), "gold".into()));
    let error = name_of(manager.shared()).await.expect_err("users are a tenant's");
    assert_eq!(code_of(&error), "error 42P01");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_failed_transaction_that_is_committed_changes_nothing() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    let mut tx = db.begin().await?;
    add(&mut *tx, 2).await?;
    drop(try_run(&mut *tx, "select 1/0").await);
    // PostgreSQL answers a lone `commit` with a rollback and no error.
    let error = tx.commit().await.expect_err("the transaction has failed");
    assert_eq!(code_of(&error), "error 25P02");
    assert_eq!(ids(&db).await?, [1]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn sqlx_can_begin_on_a_lease() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    let mut lease = db.acquire().await?;
    let mut tx = lease.begin().await?;
    add(&mut *tx, 2).await?;
    tx.commit().await?;
    let mut tx = lease.begin().await?;
    add(&mut *tx, 3).await?;
    drop(tx);
    assert_eq!(name_of(&mut *lease).await?, "acme");
    drop(lease);
    assert_eq!(ids(&db).await?, [1, 2]);
    manager.close().await;
    Ok(())
}
