use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use sqlx::{Connection, PgConnection, Postgres, Transaction, postgres::PgTransactionManager};
use sqlx_core::transaction::TransactionManager;

use crate::{
    error::Error,
    pool::{Effect, Lease, Occupant},
    tenant::TenantId,
};

/// A transaction on a connection that is bound to one tenant.
///
/// It dereferences to [`sqlx::PgConnection`]: run statements on `&mut *tx`. Without
/// [`commit`](Self::commit) nothing of it lasts: dropping it rolls back in the background, before
/// anyone gets the connection.
///
/// # Examples
///
/// ```no_run
/// # async fn example(db: tenantry::TenantDb) -> Result<(), Box<dyn std::error::Error>> {
/// let mut tx = db.begin().await?;
/// sqlx::query("update accounts set balance = balance - 10 where id = 1").execute(&mut *tx).await?;
/// {
///     let mut savepoint = tx.begin().await?;
///     sqlx::query("insert into log values ('debit')").execute(&mut *savepoint).await?;
///     savepoint.commit().await?;
/// }
/// tx.commit().await?;
/// # Ok(()) }
/// ```
#[must_use = "a transaction is rolled back unless it is committed"]
#[derive(Debug)]
pub struct TenantTransaction {
    lease: Lease,
}

impl TenantTransaction {
    pub(crate) async fn open(mut lease: Lease) -> Result<Self, Error> {
        // The lease counts as changed from here on, so a transaction that was begun without anybody
        // hearing of it is rolled back with everything else. sqlx's own depth would not tell: it is
        // raised only after the answer has come.
        let begin = lease.begin_sql();
        let begun = PgTransactionManager::begin(lease.attempt(), begin).await;
        lease.finish(Effect::OnSession, &begun);
        begun?;
        Ok(Self { lease })
    }

    /// Returns the tenant whose data the transaction changes; nothing for the shared schema.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        self.lease.tenant()
    }

    /// Notes whose data the transaction changes from now on, when the schema that it works on was given to
    /// a tenant.
    pub(crate) fn now_serves(&mut self, occupant: &Arc<Occupant>) {
        self.lease.now_serves(occupant);
    }

    /// Sets a savepoint, as a transaction inside this one.
    ///
    /// # Errors
    ///
    /// What the server answers.
    pub async fn begin(&mut self) -> sqlx::Result<Transaction<'_, Postgres>> {
        Connection::begin(&mut **self).await
    }

    /// Makes everything that was done last, and gives the connection back.
    ///
    /// As everywhere with PostgreSQL, a transaction in which a statement has failed is rolled back by that, and
    /// the server answers as if all were well. So pass errors on, and roll back to a savepoint where one may be
    /// passed over.
    ///
    /// # Errors
    ///
    /// What the server answers; a deferred constraint fails here, for example, and everything is
    /// rolled back. When the connection breaks, nobody knows whether it was committed.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the transaction may have been committed or not.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        let committed = PgTransactionManager::commit(&mut self).await;
        self.lease.finish(Effect::OnSession, &committed);
        if committed.is_ok() {
            self.lease.succeed();
        }
        committed
    }

    /// Commits what somebody else has done in the transaction, who may have passed over an error.
    ///
    /// To `commit` in a transaction that has failed the server answers with a rollback and no error, and
    /// sqlx does not look. Any other statement is refused.
    pub(crate) async fn commit_unless_failed(mut self) -> sqlx::Result<()> {
        sqlx::raw_sql("select 1").execute(&mut *self).await?;
        self.commit().await
    }

    /// Makes everything that was done last, and hands the lease out, with the locks of its session.
    pub(crate) async fn commit_and_keep(mut self) -> sqlx::Result<Lease> {
        let committed = PgTransactionManager::commit(&mut self).await;
        self.lease.finish(Effect::OnSession, &committed);
        committed?;
        self.lease.succeed();
        Ok(self.lease)
    }

    /// Undoes everything and hands the lease out, with the locks of its session; `None` when it was lost.
    pub(crate) async fn back_out(mut self) -> Option<Lease> {
        PgTransactionManager::rollback(&mut self).await.is_ok().then_some(self.lease)
    }

    /// Undoes everything and gives the connection back.
    ///
    /// Dropping does the same without waiting for it.
    ///
    /// # Errors
    ///
    /// What the server answers. The transaction does not last in any case.
    pub async fn rollback(mut self) -> sqlx::Result<()> {
        PgTransactionManager::rollback(&mut self).await
    }
}

impl Deref for TenantTransaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.lease
    }
}

impl DerefMut for TenantTransaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.lease
    }
}

impl AsMut<PgConnection> for TenantTransaction {
    fn as_mut(&mut self) -> &mut PgConnection {
        self
    }
}
