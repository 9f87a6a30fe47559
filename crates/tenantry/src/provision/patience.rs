//! Retries statements that could not acquire a lock.

use sqlx::{Connection, PgConnection, SqlStr, postgres::PgRow};
use tokio::time::sleep;

use super::DropOptions;
use crate::error::Error;

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
