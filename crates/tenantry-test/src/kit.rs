//! The kit's own statements, all known at compile time: see `kit.sql`.

use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection, Postgres};

use crate::name;

/// How long a kept schema is preserved.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The start of every advisory lock key of the kit.
const LOCK: i64 = 0x7465_7374 << 32;

/// Installs the kit's functions in a database for tests.
pub(crate) async fn install(conn: &mut PgConnection) -> sqlx::Result<()> {
    let mut tx = conn.begin().await?;
    tx.execute(sqlx::raw_sql(include_str!("kit.sql"))).await?;
    tx.commit().await
}

/// Holds the lock that shows until the end of the session that this process is alive.
pub(crate) async fn hold_process(conn: &mut PgConnection) -> sqlx::Result<()> {
    let key = LOCK | i64::from(*name::PROCESS);
    sqlx::query("select pg_catalog.pg_advisory_lock($1)").bind(key).execute(conn).await.map(drop)
}

/// Drops the schemas of processes that died before they could do so.
pub(crate) async fn sweep(conn: &mut PgConnection) -> sqlx::Result<()> {
    for schema in left_behind(conn).await? {
        let Some(process) = name::process_of(&schema).filter(|process| *process != *name::PROCESS)
        else {
            continue;
        };
        let key = LOCK | i64::from(process);
        let lock = sqlx::query_scalar("select pg_catalog.pg_try_advisory_lock($1)").bind(key);
        if lock.fetch_one(&mut *conn).await? {
            let dropped = drop_schema(conn, &schema).await;
            let unlock = sqlx::query("select pg_catalog.pg_advisory_unlock($1)").bind(key);
            unlock.execute(&mut *conn).await?;
            dropped?;
        }
    }
    Ok(())
}

/// Returns schemas of tests, except those that were kept recently.
async fn left_behind(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "select n.nspname::pg_catalog.text
         from pg_catalog.pg_namespace n
         cross join lateral pg_catalog.obj_description(n.oid, 'pg_namespace') as note
         where pg_catalog.starts_with(n.nspname::pg_catalog.text, $1)
           and coalesce(
             pg_catalog.substring(note, 'tenantry-test: kept ([0-9]+)')::pg_catalog.int8
               operator(pg_catalog.<)
               (extract(epoch from pg_catalog.now()) operator(pg_catalog.-) $2),
             true)",
    )
    .bind(name::PREFIX)
    .bind(KEPT.as_secs_f64())
    .fetch_all(conn)
    .await
}

/// Drops a schema with all its contents, and terminates sessions that still hold locks there.
pub(crate) async fn drop_schema(conn: &mut PgConnection, schema: &str) -> sqlx::Result<()> {
    for lock_timeout in ["200ms", "10s"] {
        let mut tx = conn.begin().await?;
        let limit = sqlx::query("select pg_catalog.set_config('lock_timeout', $1, true)");
        limit.bind(lock_timeout).execute(&mut *tx).await?;
        let drop = sqlx::query("select tenantry_test.drop_schema($1)").bind(schema);
        match drop.execute(&mut *tx).await {
            Ok(_) => return tx.commit().await,
            Err(error) if lock_timeout == "10s" || !is_lock_timeout(&error) => return Err(error),
            Err(_) => tx.rollback().await?,
        }
        end_sessions_in(conn, schema).await?;
    }
    Ok(())
}

/// Terminates sessions that hold locks on tables of a schema. Sessions that wait for a lock can belong to other
/// tests, which read all tables of the database.
async fn end_sessions_in(conn: &mut PgConnection, schema: &str) -> sqlx::Result<()> {
    sqlx::query(
        "select pg_catalog.pg_terminate_backend(pid)
         from (
           select distinct l.pid
           from pg_catalog.pg_locks l
           join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) l.relation
           join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
           where n.nspname operator(pg_catalog.=) $1::pg_catalog.text::pg_catalog.name
             and l.granted
             and l.database operator(pg_catalog.=) (
               select d.oid from pg_catalog.pg_database d
               where d.datname operator(pg_catalog.=) pg_catalog.current_database())
             and l.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()
         ) holders",
    )
    .bind(schema)
    .execute(conn)
    .await
    .map(drop)
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("55P03")
}

/// Protects a schema from being swept, for a day.
pub(crate) async fn keep_schema(conn: &mut PgConnection, schema: &str) -> sqlx::Result<()> {
    sqlx::query("select tenantry_test.keep_schema($1)").bind(schema).execute(conn).await.map(drop)
}

/// Fills the tables of a schema with poison, and returns each table with the error if it could not be filled.
pub(crate) async fn poison(
    conn: impl sqlx::Executor<'_, Database = Postgres>,
    schema: &str,
    mark: &str,
    base: i64,
    rows: i32,
) -> sqlx::Result<Vec<(String, Option<String>)>> {
    sqlx::query_as("select table_name, problem from tenantry_test.poison($1, $2, $3, $4)")
        .bind(schema)
        .bind(mark)
        .bind(base)
        .bind(rows)
        .fetch_all(conn)
        .await
}

/// Reads the contents of tables, resolved along the search path of the session.
pub(crate) async fn contents(
    conn: impl sqlx::Executor<'_, Database = Postgres>,
    tables: &[String],
) -> sqlx::Result<String> {
    sqlx::query_scalar("select tenantry_test.contents($1)").bind(tables).fetch_one(conn).await
}

/// Finds rows of a schema that contain one of these texts, as pairs of table and row.
pub(crate) async fn find(
    conn: &mut PgConnection,
    schema: &str,
    texts: &[String],
) -> sqlx::Result<Vec<(String, String)>> {
    sqlx::query_as("select table_name, found from tenantry_test.find($1, $2)")
        .bind(schema)
        .bind(texts)
        .fetch_all(conn)
        .await
}
