//! An error says what went wrong, and nothing is called lost that is not.

use std::{cell::Cell, time::Duration};

use futures_util::{StreamExt, TryStreamExt};
use sqlx::{Executor, PgConnection, QueryBuilder, Row};
use tenantry::{
    ErrorClass, ErrorKind, Event, TenantDb, TenantManager,
    retry::{Retrier, RetryPolicy, Transient},
};

use crate::support::{
    Heard, TestResult, World, at_rest, kind_of, name_of, pid_of, pool_options, run, try_run,
};

const MS: Duration = Duration::from_millis(1);

fn pool_errors(heard: &Heard) -> Vec<Event> {
    heard.all().into_iter().filter(|event| matches!(event, Event::PoolError(_))).collect()
}

/// One connection, and a hook that hears of everything.
fn one_connection(world: &World) -> (TenantManager, Heard) {
    let heard = Heard::default();
    let options = pool_options(|options| options.max_connections = 1);
    let builder = world.builder().pool_options(options).on_event(heard.hook());
    (builder.build().expect("the configuration is sound"), heard)
}

/// How often a statement is tried by a policy that tries five times.
async fn attempts_at(
    db: &TenantDb,
    statement: impl AsyncFn(&TenantDb) -> sqlx::Result<()>,
) -> (u32, sqlx::Error) {
    let attempts = Cell::new(0);
    let policy = RetryPolicy::default().max_attempts(5).initial_delay(MS);
    let retrier = Retrier::new(policy);
    let outcome = retrier
        .run(|| {
            attempts.set(attempts.get() + 1);
            statement(db)
        })
        .await;
    let error = outcome.expect_err("it cannot work");
    (attempts.get(), error)
}

fn with_parameters(count: usize) -> QueryBuilder<sqlx::Postgres> {
    let mut query = QueryBuilder::new("select 1 where 1 in (");
    let mut values = query.separated(",");
    for _ in 0..count {
        values.push_bind(7);
    }
    query.push(")");
    query
}

#[tokio::test]
async fn what_was_never_sent_loses_no_connection_and_is_tried_once() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let (manager, heard) = one_connection(&world);
    let db = manager.tenant("acme").await?;
    let pid = pid_of(&db).await?;
    for way in ["execute", "stream"] {
        let (attempts, error) = attempts_at(&db, async |db| {
            let mut query = with_parameters(70_000);
            match way {
                "execute" => query.build().execute(db).await.map(drop),
                _ => query.build().fetch(db).try_collect::<Vec<_>>().await.map(drop),
            }
        })
        .await;
        assert_eq!(attempts, 1, "{way}");
        assert!(error.to_string().contains("70000 bind parameters"), "{error}");
        assert_eq!(kind_of(error), ErrorKind::Database, "{way}");
    }
    assert_eq!(with_parameters(65_535).build().fetch_all(&db).await?.len(), 0);
    // What sqlx itself refuses on a connection that was handed out.
    let mut lease = db.acquire().await?;
    let error = with_parameters(70_000).build().execute(&mut *lease).await.expect_err("too many");
    assert!(matches!(error, sqlx::Error::Protocol(_)) && !error.is_transient(), "{error}");
    assert_eq!(kind_of(error), ErrorKind::Database);
    let missing = sqlx::query("select $1").bind(Nowhere).execute(&mut *lease).await;
    assert!(matches!(missing, Err(sqlx::Error::TypeNotFound { .. })), "{missing:?}");
    assert_eq!(name_of(&mut *lease).await?, "acme", "the connection works");
    drop(lease);
    at_rest(&manager).await;
    assert_eq!(pid_of(&db).await?, pid);
    assert!(pool_errors(&heard).is_empty(), "{:?}", pool_errors(&heard));
    manager.close().await;
    Ok(())
}

/// A value of a type that no server has.
struct Nowhere;

impl sqlx::Type<sqlx::Postgres> for Nowhere {
    fn type_info() -> sqlx::postgres::PgTypeInfo {
        sqlx::postgres::PgTypeInfo::with_name("nowhere_to_be_found")
    }
}

impl sqlx::Encode<'_, sqlx::Postgres> for Nowhere {
    fn encode_by_ref(
        &self,
        _: &mut sqlx::postgres::PgArgumentBuffer,
    ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        Ok(sqlx::encode::IsNull::Yes)
    }
}

/// A value that cannot be encoded.
struct Broken;

impl sqlx::Type<sqlx::Postgres> for Broken {
    fn type_info() -> sqlx::postgres::PgTypeInfo {
        <i32 as sqlx::Type<sqlx::Postgres>>::type_info()
    }
}

impl sqlx::Encode<'_, sqlx::Postgres> for Broken {
    fn encode_by_ref(
        &self,
        _: &mut sqlx::postgres::PgArgumentBuffer,
    ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        Err("on purpose".into())
    }
}

#[tokio::test]
async fn what_a_working_connection_answers_is_no_lost_connection() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let (manager, heard) = one_connection(&world);
    let db = manager.tenant("acme").await?;
    let pid = pid_of(&db).await?;
    type Way = fn(&TenantDb) -> futures_util::future::BoxFuture<'_, sqlx::Result<()>>;
    let ways: [(&str, Way); 5] = [
        ("a parameter is missing (08P01)", |db| {
            Box::pin(async move { sqlx::query("select $1::int").execute(db).await.map(drop) })
        }),
        ("a NUL in the text (08P01)", |db| {
            Box::pin(async move { sqlx::raw_sql("select 1 \0").execute(db).await.map(drop) })
        }),
        ("a foreign server is away, raised by a function (08006)", |db| {
            Box::pin(try_run(db, "do 'begin raise exception using errcode = ''08006''; end'"))
        }),
        ("a value cannot be encoded", |db| {
            Box::pin(
                async move { sqlx::query("select $1").bind(Broken).execute(db).await.map(drop) },
            )
        }),
        ("a value cannot be decoded", |db| {
            Box::pin(async move {
                sqlx::query_scalar::<_, i32>("select 'x'").fetch_one(db).await.map(drop)
            })
        }),
    ];
    for (what, way) in ways {
        let (attempts, error) = attempts_at(&db, async |db| way(db).await).await;
        assert_eq!(attempts, 1, "{what}: {error}");
        let error = tenantry::Error::from(error);
        assert_eq!(error.kind(), ErrorKind::Database, "{what}: {error:?}");
        assert_ne!(error.class(), ErrorClass::Connection, "{what}: {error:?}");
        at_rest(&manager).await;
        assert_eq!(pid_of(&db).await?, pid, "{what}");
    }
    assert!(pool_errors(&heard).is_empty(), "{:?}", pool_errors(&heard));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn an_error_of_the_pool_speaks_for_itself() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| {
        options.max_connections = 1;
        options.max_waiting_per_tenant = 1;
        options.statement_timeout = Some(MS * 50);
    });
    let db = manager.tenant("acme").await?;
    let late = sqlx::query("select pg_sleep(5)").execute(&db).await.expect_err("it takes too long");
    assert_eq!(
        late.to_string(),
        "error communicating with database: statement timed out: no response within 50ms"
    );
    assert_eq!(kind_of(late), ErrorKind::StatementTimeout);
    manager.close().await;
    Ok(())
}

async fn refused(admin: &mut PgConnection, sql: &str) -> ErrorKind {
    kind_of(try_run(admin, sql).await.expect_err("it is refused"))
}

#[tokio::test]
async fn reasons_of_the_server_are_told_apart() -> TestResult {
    use ErrorKind as K;
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let db = manager.tenant("acme").await?;
    let mut lease = db.acquire().await?;
    run(
        &mut *lease,
        "create table parents (id int primary key); insert into parents values (1), (2); \
         create table things (parent int not null references parents, size int check (size > 0), \
           booked int4range, exclude using gist (booked with &&)); \
         insert into things values (1, 1, '[1,5)')",
    )
    .await;
    for (sql, kind) in [
        ("insert into parents values (1)", K::UniqueViolation),
        ("insert into things values (9)", K::ForeignKeyViolation),
        ("delete from parents where id = 1", K::ForeignKeyViolation),
        ("insert into things values (null)", K::NotNullViolation),
        ("insert into things values (1, 0)", K::CheckViolation),
        ("insert into things values (1, 1, '[4,9)')", K::ExclusionViolation),
        ("begin read only; insert into parents values (3)", K::ReadOnly),
        ("rollback; begin; set local statement_timeout = 20; select pg_sleep(9)", K::Cancelled),
        ("rollback; select 1 / 0", K::Database),
    ] {
        assert_eq!(refused(&mut lease, sql).await, kind, "{sql}");
    }
    run(&mut *lease, "begin; lock table parents").await;
    let mut other = db.acquire().await?;
    let kind = refused(&mut other, "begin; lock table parents nowait").await;
    assert_eq!(kind, K::LockNotAvailable);

    run(&mut *lease, "rollback; begin isolation level repeatable read; table parents").await;
    run(&mut *other, "rollback; update parents set id = 22 where id = 2").await;
    let kind = refused(&mut lease, "update parents set id = 23 where id = 2").await;
    assert_eq!(kind, K::SerializationFailure);

    run(&mut *lease, "rollback; begin; update parents set id = 1 where id = 1").await;
    run(&mut *other, "begin; update parents set id = 22 where id = 22").await;
    let (one, two) = tokio::join!(
        try_run(&mut *lease, "update parents set id = 22 where id = 22; commit"),
        try_run(&mut *other, "update parents set id = 1 where id = 1; commit"),
    );
    let errors: Vec<_> = [one, two].into_iter().filter_map(Result::err).map(kind_of).collect();
    assert_eq!(errors, [K::Deadlock], "one of them goes through");
    drop((lease, other));

    // None of them is transient, and a handle says the same as a lease.
    let error =
        sqlx::query("insert into parents values (1)").execute(&db).await.expect_err("twice");
    let error = tenantry::Error::from(error);
    assert_eq!((error.kind(), error.class()), (K::UniqueViolation, ErrorClass::Constraint));
    assert!(!error.is_transient());
    assert_eq!(error.to_string(), "unique constraint violated: running a statement");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_stream_that_is_dropped_early_is_no_error() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let (manager, heard) = one_connection(&world);
    let db = manager.tenant("acme").await?;
    let mut rows = sqlx::query("select * from generate_series(1, 100000)").fetch(&db);
    for _ in 0..3 {
        assert!(rows.next().await.is_some());
    }
    drop(rows);
    at_rest(&manager).await;
    // One that is waited for in vain is cancelled, as before.
    let waiting = sqlx::query("select pg_sleep(9)").fetch(&db).try_collect::<Vec<_>>();
    assert!(tokio::time::timeout(MS * 50, waiting).await.is_err());
    at_rest(&manager).await;
    manager.close().await;
    let told = heard.all().into_iter().filter_map(|event| match event {
        Event::Query(query) => Some((query.rows, query.error)),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(3, None), (0, Some(ErrorClass::Cancelled))]);
    Ok(())
}

/// Rows that each fill the server's buffer, so that each is sent when it is made.
const SLOW_ROWS: &str = "select repeat('x', 20000), pg_sleep(0.2) from generate_series(1, 20)";

#[tokio::test]
async fn a_limit_is_for_the_whole_statement_and_not_for_a_row() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| options.statement_timeout = Some(MS * 800));
    let db = manager.tenant("acme").await?;
    let mut rows = sqlx::query(SLOW_ROWS).fetch(&db);
    let mut read = 0;
    let error = loop {
        match rows.try_next().await {
            Ok(row) => read += usize::from(row.expect("4 s of rows").get::<&str, _>(0).len() > 1),
            Err(error) => break error,
        }
    };
    drop(rows);
    assert_eq!(kind_of(error), ErrorKind::StatementTimeout);
    assert!(read < 5, "{read} rows in 800 ms");
    at_rest(&manager).await;
    assert_eq!(name_of(&db).await?, "acme");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_reader_may_take_its_time() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| options.statement_timeout = Some(MS * 2_000));
    let db = manager.tenant("acme").await?;
    // More than the sockets hold, so that the server has to wait for the reader as well.
    let mut rows = sqlx::query("select repeat('x', 500000) from generate_series(1, 40)").fetch(&db);
    let mut read = 0;
    while rows.try_next().await?.is_some() {
        read += 1;
        tokio::time::sleep(MS * 100).await;
    }
    assert_eq!(read, 40, "4 s of reading, of which few are waiting");
    drop(rows);
    let lease = db.acquire().await?;
    assert!(lease.backend_pid().is_some());
    drop(lease);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_copy_that_no_handle_can_make_is_not_tried_again() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let (manager, _) = one_connection(&world);
    let db = manager.tenant("acme").await?;
    let (attempts, error) =
        attempts_at(&db, async |db| db.execute("copy users from stdin").await.map(drop)).await;
    assert_eq!((attempts, kind_of(error)), (1, ErrorKind::Database));
    assert_eq!(name_of(&db).await?, "acme");
    manager.close().await;
    Ok(())
}
