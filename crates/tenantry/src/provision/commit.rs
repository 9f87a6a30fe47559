//! Ends transactions, and determines the outcome of a commit whose response was lost.

use std::time::Duration;

use sqlx::{PgConnection, Row};
use tokio::time::{Instant, sleep};

use super::{Provisioner, answer::has_code};
use crate::{
    db::TenantTransaction,
    error::{Error, ErrorKind},
    pool::leaves_session_usable,
    sql::Sql,
};

/// How long to try to determine the outcome.
const PATIENCE: Duration = Duration::from_secs(10);

/// The interval between attempts.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A transaction id, by which the server reports the transaction's outcome.
#[derive(Debug)]
pub(super) struct TransactionNumber(String);

impl TransactionNumber {
    /// Reads the id of the open transaction. Fails if a statement of it has failed, which a commit would not report.
    pub(super) async fn of(conn: &mut PgConnection) -> sqlx::Result<Self> {
        let number = "select pg_catalog.pg_current_xact_id()::pg_catalog.text";
        sqlx::raw_sql(number).fetch_one(conn).await?.try_get(0).map(Self)
    }
}

impl Provisioner {
    /// Commits. If the response is lost, the outcome is queried on another connection.
    ///
    /// # Errors
    ///
    /// The server's error; then nothing was committed. [`Unavailable`](ErrorKind::Unavailable) if the connection was
    /// lost: either nothing was committed, or the message says that the outcome is unknown.
    pub(crate) async fn commit(&self, mut tx: TenantTransaction) -> Result<(), Error> {
        let number = TransactionNumber::of(&mut tx).await?;
        let committed = tx.commit().await;
        self.find_out(&number, committed).await
    }

    /// Determines the outcome of a commit whose response may have been lost.
    pub(super) async fn find_out(
        &self,
        number: &TransactionNumber,
        committed: sqlx::Result<()>,
    ) -> Result<(), Error> {
        let Err(error) = committed else { return Ok(()) };
        if leaves_session_usable(&error) {
            return Err(error.into());
        }
        match self.was_committed(number).await {
            Some(true) => Ok(()),
            Some(false) => Err(error.into()),
            None => {
                let attempted = "the connection was lost during the commit, and the outcome is unknown: check it \
                                 before you retry";
                Err(Error::new(ErrorKind::Unavailable, attempted).with_source(error))
            }
        }
    }

    async fn was_committed(&self, number: &TransactionNumber) -> Option<bool> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && !self.fleet.server().is_closed() {
            match self.status_of(number).await {
                Ok(Some(status)) if status == "committed" => return Some(true),
                Ok(Some(status)) if status == "aborted" => return Some(false),
                // The transaction is so old that the server no longer has its status.
                Ok(None) => return None,
                // The server has not heard of the end of the connection yet.
                Ok(Some(_)) => {}
                // There was no such transaction: this server has replaced the one that lost it.
                Err(error) if has_code(&error, "22023") => return Some(false),
                Err(_) => {}
            }
            sleep(LOOK_AGAIN).await;
        }
        None
    }

    async fn status_of(&self, number: &TransactionNumber) -> Result<Option<String>, Error> {
        let mut lease = self.fleet.lease().await?;
        let mut sql = Sql::new("select pg_catalog.pg_xact_status(");
        sql.literal(&number.0).text("::pg_catalog.xid8)");
        Ok(sqlx::raw_sql(sql.finish()).fetch_one(&mut *lease).await?.try_get(0)?)
    }
}

/// Rolls back before the failure is reported: the locks would block another attempt.
pub(super) async fn roll_back(tx: TenantTransaction, error: Error) -> Error {
    drop(tx.rollback().await);
    error
}
