//! Signatures that services written for sqlx's pool have compile and work with a tenant.

use std::{error::Error as StdError, fmt, time::Duration};

use sqlx::{Acquire, Executor, PgConnection, PgExecutor, Postgres, Transaction};
use tenantry::{Error, ErrorKind, SharedDb, TenantDb, TenantTransaction};

use crate::support::{
    TestResult, World, at_rest, code_of, idle_in_transaction, name_of, run, try_run,
};

/// As the services have them.
async fn in_transaction(tx: &mut Transaction<'_, Postgres>, id: i32) -> sqlx::Result<()> {
    sqlx::query("insert into users values ($1, 'new')").bind(id).execute(&mut **tx).await?;
    Ok(())
}

async fn on_connection(conn: &mut PgConnection, id: i32) -> sqlx::Result<()> {
    for id in [id, id + 1] {
        sqlx::query("insert into users values ($1, 'new')").bind(id).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn by_acquire<'a>(
    conn: impl Acquire<'a, Database = Postgres>,
    id: i32,
) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let mut conn = conn.acquire().await?;
    on_connection(&mut conn, id).await?;
    Ok(())
}

async fn by_acquire_in_transaction<'a>(
    conn: impl Acquire<'a, Database = Postgres>,
    id: i32,
) -> sqlx::Result<()> {
    let mut tx = conn.begin().await?;
    in_transaction(&mut tx, id).await?;
    tx.commit().await
}

async fn by_executor(on: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from users").fetch_one(on).await
}

async fn by_any_executor<'e, E: Executor<'e, Database = Postgres>>(on: E) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from users").fetch_one(on).await
}

/// A repository that owns its transaction; was `Transaction<'static, Postgres>`.
struct Repository {
    tx: TenantTransaction,
}

impl Repository {
    async fn add(&mut self, ids: &[i32]) -> sqlx::Result<()> {
        for id in ids {
            sqlx::query("insert into users values ($1, 'new')")
                .bind(id)
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }

    async fn save(self) -> sqlx::Result<()> {
        self.tx.commit().await
    }
}

/// A repository that borrows sqlx's.
struct Borrowing<'r, 't> {
    tx: &'r mut Transaction<'t, Postgres>,
}

impl Borrowing<'_, '_> {
    async fn add(&mut self, id: i32) -> sqlx::Result<()> {
        in_transaction(self.tx, id).await
    }
}

/// An application's error that knows nothing of Tenantry.
#[derive(Debug)]
enum AppError {
    Sql(sqlx::Error),
    Refused(String),
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl StdError for AppError {}

impl From<sqlx::Error> for AppError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

fn assert_send<F: Future + Send>(future: F) -> F {
    future
}

/// Runs a future as a handler of axum is run: boxed, `Send`, `'static`, on another task.
async fn as_handler<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let boxed: std::pin::Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(future);
    tokio::spawn(boxed).await.expect("the handler does not panic")
}

async fn handler(db: TenantDb, names: Vec<String>) -> Result<usize, AppError> {
    let prefix = String::from("n-");
    let added = db
        .transaction(async |tx: &mut Transaction<'_, Postgres>| {
            for (id, name) in (100..).zip(&names) {
                sqlx::query("insert into users values ($1, $2)")
                    .bind(id)
                    .bind(format!("{prefix}{name}"))
                    .execute(&mut **tx)
                    .await?;
            }
            in_transaction(tx, 200).await?;
            Borrowing { tx }.add(201).await?;
            match names.len() {
                0 => Err(AppError::Refused(prefix.clone())),
                some => Ok(some),
            }
        })
        .await?;
    assert!(prefix.starts_with('n'));
    Ok(added)
}

async fn count(db: &TenantDb) -> sqlx::Result<i64> {
    by_executor(db).await
}

#[tokio::test]
async fn what_takes_sqlx_s_types_takes_a_lease_and_a_transaction() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    assert_eq!((by_executor(&db).await?, by_any_executor(&db).await?), (1, 1));

    let mut lease = db.acquire().await?;
    on_connection(&mut lease, 10).await?;
    by_acquire(&mut *lease, 12).await.map_err(|error| error.to_string())?;
    by_acquire(&mut lease, 14).await.map_err(|error| error.to_string())?;
    by_acquire_in_transaction(&mut lease, 16).await?;
    by_acquire_in_transaction(&mut *lease, 17).await?;
    assert_eq!((by_executor(&mut *lease).await?, by_any_executor(&mut lease).await?), (9, 9));
    let mut tx = lease.begin().await?;
    in_transaction(&mut tx, 18).await?;
    tx.rollback().await?;
    let mut tx = lease.begin_with("begin isolation level repeatable read").await?;
    let level: String =
        sqlx::query_scalar("show transaction_isolation").fetch_one(&mut *tx).await?;
    assert_eq!(level, "repeatable read");
    in_transaction(&mut tx, 18).await?;
    tx.commit().await?;
    drop(lease);
    assert_eq!(count(&db).await?, 10);

    let mut tx = db.begin().await?;
    on_connection(&mut tx, 20).await?;
    by_acquire(&mut tx, 22).await.map_err(|error| error.to_string())?;
    by_acquire_in_transaction(&mut tx, 24).await?;
    assert_eq!((by_executor(&mut *tx).await?, by_any_executor(&mut tx).await?), (15, 15));
    {
        let mut savepoint = tx.begin().await?;
        in_transaction(&mut savepoint, 25).await?;
        savepoint.rollback().await?;
    }
    let by_reference = &mut tx;
    for _ in 0..2 {
        assert_eq!(by_executor(&mut *by_reference).await?, 15);
    }
    tx.execute("delete from users where id > 10").await?;
    tx.commit().await?;
    assert_eq!(count(&db).await?, 2);

    let mut repository = Repository { tx: db.begin().await? };
    repository.add(&[30, 31]).await?;
    repository.save().await?;
    assert_eq!(count(&db).await?, 4);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_closure_commits_or_rolls_back_and_may_borrow() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;

    assert_eq!(as_handler(handler(db.clone(), vec!["a".into(), "b".into()])).await?, 2);
    assert_eq!(count(&db).await?, 5);
    run(&db, "delete from users where id >= 100").await;
    let refused = as_handler(assert_send(handler(db.clone(), Vec::new()))).await;
    assert!(matches!(refused, Err(AppError::Refused(prefix)) if prefix == "n-"));
    assert_eq!(count(&db).await?, 1);

    let mut total = 0;
    db.transaction(async |tx| {
        in_transaction(tx, 2).await?;
        total += 1;
        Ok::<_, sqlx::Error>(())
    })
    .await?;
    assert_eq!((total, count(&db).await?), (1, 2));

    let failed: Result<(), Box<dyn StdError + Send + Sync>> =
        db.transaction(async |tx| Ok(in_transaction(tx, 2).await?)).await;
    let failed = failed.expect_err("there is such a row");
    let failed = failed.downcast::<sqlx::Error>().expect("it is sqlx's");
    assert_eq!(code_of(&failed), "error 23505");
    assert_eq!(count(&db).await?, 2);

    let mut dropped = Box::pin(db.transaction(async |tx| {
        in_transaction(tx, 3).await?;
        std::future::pending::<sqlx::Result<()>>().await
    }));
    let waited = tokio::time::timeout(Duration::from_millis(50), &mut dropped).await;
    waited.expect_err("it never ends");
    drop(dropped);
    assert_eq!(count(&db).await?, 2);
    at_rest(&manager).await;
    assert_eq!(idle_in_transaction(&mut world.admin().await).await, 0);

    let shared: &SharedDb = manager.shared();
    let one: i32 = shared
        .transaction(async |tx| sqlx::query_scalar("select 1").fetch_one(&mut **tx).await)
        .await?;
    assert_eq!(one, 1);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_failed_transaction_is_never_reported_as_committed() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    let passed_over: sqlx::Result<()> = db
        .transaction(async |tx| {
            in_transaction(tx, 2).await?;
            drop(try_run(&mut **tx, "select 1/0").await);
            Ok(())
        })
        .await;
    assert_eq!(code_of(&passed_over.expect_err("it has failed")), "error 25P02");
    let mut tx = db.begin().await?;
    on_connection(&mut tx, 3).await?;
    drop(try_run(&mut tx, "select 1/0").await);
    assert_eq!(code_of(&tx.commit().await.expect_err("it has failed")), "error 25P02");
    assert_eq!(count(&db).await?, 1);

    // An error that is passed over in a savepoint is none.
    db.transaction(async |tx| {
        let mut savepoint = tx.begin().await?;
        drop(try_run(&mut *savepoint, "select 1/0").await);
        drop(savepoint);
        in_transaction(tx, 2).await
    })
    .await?;
    assert_eq!(count(&db).await?, 2);
    at_rest(&manager).await;
    assert_eq!(idle_in_transaction(&mut world.admin().await).await, 0);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_transaction_begins_as_it_is_told() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    for db_statement in [
        "begin isolation level serializable read only",
        "begin isolation level serializable read only; -- as told",
    ] {
        let mut tx = db.begin_with(db_statement).await?;
        let level: String =
            sqlx::query_scalar("show transaction_isolation").fetch_one(&mut tx).await?;
        assert_eq!(level, "serializable");
        assert_eq!(name_of(&mut *tx).await?, "acme");
        let error = on_connection(&mut tx, 2).await.expect_err("it only reads");
        assert_eq!(Error::from(error).kind(), ErrorKind::ReadOnly);
        tx.rollback().await?;
    }
    let mut tx = db.begin_with("start transaction read write").await?;
    let error = tx.begin_with("begin read only").await.expect_err("a savepoint has no options");
    assert!(matches!(error, sqlx::Error::InvalidSavePointStatement), "{error:?}");
    on_connection(&mut tx, 2).await?;
    tx.commit().await?;
    assert_eq!(count(&db).await?, 3);

    let pid = db.acquire().await?.backend_pid();
    let error = db.begin_with("select 1").await.expect_err("it begins nothing");
    assert!(matches!(error, sqlx::Error::BeginFailed), "{error:?}");
    let error = db.begin_with("begin nonsense").await.expect_err("it is none");
    assert_eq!(code_of(&error), "error 42601");
    assert_eq!(db.acquire().await?.backend_pid(), pid, "the session was not kept");
    let mut tx = manager.shared().begin_with("begin read only").await?;
    let read_only: String =
        sqlx::query_scalar("show transaction_read_only").fetch_one(&mut *tx).await?;
    assert_eq!(read_only, "on");
    drop(tx);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn errors_pass_through_those_of_sqlx() -> TestResult {
    async fn sqlx_s(db: &TenantDb) -> sqlx::Result<()> {
        drop(db.acquire().await?);
        db.begin().await?.commit().await
    }
    async fn the_application_s(db: &TenantDb) -> Result<(), AppError> {
        db.begin().await?.commit().await?;
        Ok(db.acquire().await.map(drop)?)
    }
    async fn any(db: &TenantDb) -> Result<(), Box<dyn StdError + Send + Sync>> {
        db.begin_with("begin").await?.commit().await?;
        Ok(db.acquire().await.map(drop)?)
    }
    async fn our_own(db: &TenantDb) -> Result<(), Error> {
        db.begin().await?.commit().await?;
        Ok(db.acquire().await.map(drop)?)
    }
    let world = World::with_tenants(&["acme"]).await;
    let waiting = |limit| {
        world.with_pool(|options| {
            options.max_connections = 1;
            options.acquire_timeout = limit;
        })
    };
    let patient = waiting(Duration::from_secs(10));
    let db = patient.tenant("acme").await?;
    for _ in 0..2 {
        sqlx_s(&db).await?;
        the_application_s(&db).await?;
        any(&db).await.map_err(|error| error.to_string())?;
        our_own(&db).await?;
    }
    patient.close().await;
    let manager = waiting(Duration::from_millis(50));
    let db = manager.tenant("acme").await?;
    let held = db.acquire_within(Duration::from_secs(10)).await?;
    let of_sqlx = sqlx_s(&db).await.expect_err("the connection is in use");
    let AppError::Sql(of_app) = the_application_s(&db).await.expect_err("the same") else {
        return Err("it is sqlx's".into());
    };
    let of_any = any(&db).await.expect_err("the same");
    let of_any = *of_any.downcast::<sqlx::Error>().expect("it is sqlx's");
    let ours = our_own(&db).await.expect_err("the same");
    for error in [of_sqlx, of_app, of_any] {
        assert!(matches!(error, sqlx::Error::PoolTimedOut), "{error:?}");
        assert_eq!(ErrorKind::in_chain(&error), Some(ErrorKind::Timeout));
        let error = Error::from(error);
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    }
    assert_eq!(ours.kind(), ErrorKind::Timeout);
    drop(held);
    manager.close().await;
    let closed = db.begin().await.expect_err("the manager is closed");
    assert!(matches!(closed, sqlx::Error::PoolClosed), "{closed:?}");
    assert_eq!(Error::from(closed).kind(), ErrorKind::Closed);
    Ok(())
}
