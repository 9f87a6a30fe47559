//! Transactions around a closure.

use sqlx::{Postgres, SqlStr, Transaction, raw_sql};

use super::{Handle, lost::is_aborted};
use crate::pool::{Begin, Effect, Lease, PrimaryCheck, Purpose};

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
        let lease = self.lease_for_transaction(Purpose::Transaction(Begin::default())).await;
        self.transaction_on(lease.map_err(sqlx::Error::from)?, None, work).await
    }

    /// Runs work in a transaction on this lease that begins with this statement, or a plain `begin`.
    pub(super) async fn transaction_on<T, E, F>(
        &self,
        mut lease: Lease,
        begin: Option<SqlStr>,
        work: F,
    ) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Transaction<'_, Postgres>) -> Result<T, E>,
        E: From<sqlx::Error>,
    {
        let begin = lease.begin_sql(begin);
        let (commit, rollback) = (lease.commit_sql(), lease.rollback_sql());
        let check = lease.primary_check();
        let (result, ended) = match Transaction::begin(lease.attempt(), begin).await {
            Ok(tx) => run(tx, work, check, (commit, rollback)).await,
            Err(error) => (Err(None), Err(error)),
        };
        let ended = match &result {
            Ok(_) => lease.note_commit(ended),
            Err(_) => {
                lease.note_rollback(&ended);
                ended
            }
        };
        lease.finish(Effect::OnSession, &ended);
        match (result, ended) {
            (Ok(value), Ok(())) => {
                lease.succeed();
                Ok(value)
            }
            (Err(Some(error)), Ok(())) => Err(self.or_moved(error, lease).await),
            (Ok(_), Err(error)) if is_aborted(&error) => {
                Err(self.or_moved(error.into(), lease).await)
            }
            (Err(Some(error)), Err(_)) => Err(error),
            (_, Err(error)) => Err(error.into()),
            (Err(None), Ok(())) => Err(sqlx::Error::BeginFailed.into()),
        }
    }

    /// Returns the error of a transaction that was rolled back: this one, unless the tenant has
    /// moved, which then is its cause.
    async fn or_moved<E: From<sqlx::Error>>(&self, error: E, lease: Lease) -> E {
        let Some(follows) = &self.follows else { return error };
        follows.moved_meanwhile(lease).await.map_or(error, E::from)
    }
}

/// Runs the work and ends the transaction; returns the outcome of both.
async fn run<T, E, F>(
    mut tx: Transaction<'_, Postgres>,
    work: F,
    check: PrimaryCheck,
    (commit, rollback): (SqlStr, Option<SqlStr>),
) -> (Result<T, Option<E>>, sqlx::Result<()>)
where
    F: AsyncFnOnce(&mut Transaction<'_, Postgres>) -> Result<T, E>,
    E: From<sqlx::Error>,
{
    let worked = work(&mut tx).await;
    let worked = worked.and_then(|value| {
        check.refuse_former().map(|()| value).map_err(|error| sqlx::Error::from(error).into())
    });
    match worked {
        Ok(value) => {
            let committed = raw_sql(commit).execute(&mut *tx).await.map(drop);
            if committed.as_ref().is_err_and(is_aborted) {
                // The error to return is that of the commit.
                drop(roll_back(tx, rollback).await);
            }
            (Ok(value), committed)
        }
        // Awaited, so that the caller finds every lock released.
        Err(error) => (Err(Some(error)), roll_back(tx, rollback).await),
    }
}

/// Rolls back with this string, which leaves an empty transaction, or with a plain `rollback`.
async fn roll_back(mut tx: Transaction<'_, Postgres>, with: Option<SqlStr>) -> sqlx::Result<()> {
    match with {
        Some(sql) => raw_sql(sql).execute(&mut *tx).await.map(drop),
        None => tx.rollback().await,
    }
}
