//! The queue of a tenant: a table in its own schema.

use sqlx::{Connection, PgConnection};
use tenantry::TenantDb;

use crate::orders;

/// Whether a tenant has due jobs. A job that failed three times is left for people.
pub(crate) const IS_ANY_DUE: &str = "select exists (
    select from jobs where done_at is null and attempts < 3 and run_at <= now())";

/// Result of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    Done,
    Failed,
    Nothing,
}

/// Runs the tenant's oldest due job that no other worker has claimed.
///
/// The transaction is the claim: if the worker dies, the lock is released and the job unchanged.
/// This suits jobs that only use the database. A job that calls other services, and so takes long,
/// should mark the row and commit before it starts, so that it holds no connection meanwhile.
pub(crate) async fn run_next(db: &TenantDb) -> sqlx::Result<Ran> {
    db.transaction(async |tx| {
        let Some(order) = claim(tx).await? else { return Ok(Ran::Nothing) };
        // A savepoint: the writes of a failed job are rolled back, and the failure can be
        // recorded.
        let mut attempt = tx.begin().await?;
        match orders::invoice(&mut attempt, order).await {
            Ok(()) => {
                attempt.commit().await?;
                done(tx, order).await?;
                Ok(Ran::Done)
            }
            Err(error) => {
                attempt.rollback().await?;
                failed(tx, order, &error).await?;
                Ok(Ran::Failed)
            }
        }
    })
    .await
}

async fn claim(connection: &mut PgConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar(
        "select order_id from jobs
         where done_at is null and attempts < 3 and run_at <= now()
         order by run_at
         limit 1
         for update skip locked",
    )
    .fetch_optional(connection)
    .await
}

async fn done(connection: &mut PgConnection, order: i64) -> sqlx::Result<()> {
    sqlx::query("update jobs set done_at = now(), error = null where order_id = $1")
        .bind(order)
        .execute(connection)
        .await?;
    Ok(())
}

async fn failed(
    connection: &mut PgConnection,
    order: i64,
    error: &sqlx::Error,
) -> sqlx::Result<()> {
    sqlx::query(
        "update jobs
         set attempts = attempts + 1, run_at = now() + interval '1 minute', error = $2
         where order_id = $1",
    )
    .bind(order)
    .bind(error.to_string())
    .execute(connection)
    .await?;
    Ok(())
}
