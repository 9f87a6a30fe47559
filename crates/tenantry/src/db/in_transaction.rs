//! Transactions around a closure.

use sqlx::{Postgres, Transaction};

use super::{Handle, transaction::commit};
use crate::pool::Effect;

impl Handle {
    /// Runs work in a transaction, commits when it succeeds, and rolls back otherwise.
    ///
    /// It is an sqlx transaction that borrows the lease: dropping the future midway drops both, and
    /// the session is cleaned up like that of any lease.
    pub(super) async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Transaction<'_, Postgres>) -> Result<T, E>,
        E: From<sqlx::Error>,
    {
        let mut lease = self.lease_for_transaction().await.map_err(sqlx::Error::from)?;
        let begin = lease.begin_sql(None);
        let (result, ended) = match Transaction::begin(lease.attempt(), begin).await {
            Ok(tx) => run(tx, work).await,
            Err(error) => (Err(None), Err(error)),
        };
        lease.finish(Effect::OnSession, &ended);
        match (result, ended) {
            (Ok(value), Ok(())) => {
                lease.succeed();
                Ok(value)
            }
            (Err(Some(error)), _) => Err(error),
            (_, Err(error)) => Err(error.into()),
            (Err(None), Ok(())) => Err(sqlx::Error::BeginFailed.into()),
        }
    }
}

/// Runs the work and ends the transaction; returns the outcome of both.
async fn run<T, E, F>(
    mut tx: Transaction<'_, Postgres>,
    work: F,
) -> (Result<T, Option<E>>, sqlx::Result<()>)
where
    F: AsyncFnOnce(&mut Transaction<'_, Postgres>) -> Result<T, E>,
{
    match work(&mut tx).await {
        Ok(value) => (Ok(value), commit(&mut tx).await),
        // Awaited, so that the caller finds every lock released.
        Err(error) => (Err(Some(error)), tx.rollback().await),
    }
}
