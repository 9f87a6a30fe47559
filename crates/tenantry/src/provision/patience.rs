//! Retries statements that could not acquire a lock.

use std::time::Duration;

use sqlx::{Connection, PgConnection, SqlStr, postgres::PgRow};
use tokio::time::sleep;

use super::DropOptions;
use crate::{
    error::{Error, ErrorKind},
    sql::Sql,
};

/// Limits while a table is locked against vacuum and changes of its structure, which no request notices. Autovacuum gives
/// way after `deadlock_timeout`, 1 s by default.
const PATIENT: &str = "begin; set local lock_timeout = '5s'; set local statement_timeout = '10s'";

/// How long a transaction waits for the other locks of a table that all tenants use, and of its partitions: others wait
/// behind it.
const MOMENT: &str = "set local lock_timeout = '200ms'; set local statement_timeout = '200ms'";

/// How often, and in what intervals, that is tried.
const TRIES: u32 = 20;
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// Runs statements in a transaction, and retries them after a lock timeout or a deadlock. In a transaction it uses a
/// savepoint. Returns their rows.
pub(super) async fn patiently(
    conn: &mut PgConnection,
    sql: SqlStr,
    options: &DropOptions,
) -> Result<Vec<PgRow>, Error> {
    let mut failed = 0;
    loop {
        let mut attempt = conn.begin().await?;
        let done = sqlx::raw_sql(sql.clone()).fetch_all(&mut *attempt).await;
        let ended = match &done {
            Ok(_) => attempt.commit().await,
            Err(_) => attempt.rollback().await,
        };
        let error = match (done, ended) {
            (Ok(rows), Ok(())) => return Ok(rows),
            (Err(error), _) | (Ok(_), Err(error)) => error,
        };
        failed += 1;
        let code = error.as_database_error().and_then(|error| error.code());
        let passing = matches!(code.as_deref(), Some("55P03" | "40P01"));
        match options.retry.delay_after(failed, fastrand::f64(), None).filter(|_| passing) {
            Some(delay) => sleep(delay).await,
            None => return Err(error.into()),
        }
    }
}

/// Runs statements that lock a table of all tenants, in a transaction that gives way to others. Not in a transaction.
///
/// # Errors
///
/// [`Busy`](ErrorKind::Busy) if others hold the lock for several seconds.
pub(crate) async fn in_a_moment(
    conn: &mut PgConnection,
    (schema, table): (&str, &str),
    locking: Sql,
    attempted: &str,
) -> Result<(), Error> {
    let calm = lock_sql(schema, table, " in share update exclusive mode");
    let locking = locking.finish();
    for tries in 1.. {
        let done = async {
            sqlx::raw_sql(PATIENT).execute(&mut *conn).await?;
            sqlx::raw_sql(calm.clone()).execute(&mut *conn).await?;
            sqlx::raw_sql(MOMENT).execute(&mut *conn).await?;
            sqlx::raw_sql(locking.clone()).execute(&mut *conn).await?;
            sqlx::raw_sql("commit").execute(&mut *conn).await
        };
        let Err(error) = done.await else { break };
        sqlx::raw_sql("rollback").execute(&mut *conn).await?;
        let code = error.as_database_error().and_then(|error| error.code());
        let is_blocked = matches!(code.as_deref(), Some("55P03" | "57014" | "40P01"));
        if !is_blocked || tries >= TRIES {
            let error = Error::from(error);
            let kind = if is_blocked { ErrorKind::Busy } else { error.kind() };
            return Err(Error::new(kind, attempted.to_owned()).with_source(error));
        }
        sleep(TRY_AGAIN).await;
    }
    Ok(())
}

/// Returns the statement that locks a table with its partitions.
fn lock_sql(schema: &str, table: &str, mode: &'static str) -> SqlStr {
    let mut sql = Sql::new("lock table ");
    sql.name(schema).text(".").name(table).text(mode);
    sql.finish()
}
