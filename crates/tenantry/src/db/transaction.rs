use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use sqlx::{
    Connection, PgConnection, Postgres, SqlSafeStr, SqlStr, Transaction,
    postgres::PgTransactionManager, raw_sql,
};
use sqlx_core::transaction::TransactionManager;

use super::{lost::is_aborted, whereabouts::Follows};
use crate::{
    error::Error,
    pool::{Effect, Lease, Occupant, Watched},
    tenant::TenantId,
};

/// A transaction on a connection that is bound to one tenant.
///
/// It dereferences to [`sqlx::PgConnection`]: run statements on `&mut *tx`, as on an
/// [`sqlx::Transaction`]. `&mut tx` itself is also an [`Executor`](sqlx::Executor) and an
/// [`Acquire`](sqlx::Acquire). If it is dropped without [`commit`](Self::commit), it is rolled back
/// in the background, before the connection is reused.
///
/// It owns its connection and has no lifetime, so it replaces `Transaction<'static, Postgres>` as
/// the type of a field. A function that takes `&mut Transaction<'_, Postgres>` accepts a
/// [savepoint](Self::begin) or the argument of
/// [`TenantDb::transaction`](crate::TenantDb::transaction). Only sqlx's own pool can create an
/// `sqlx::Transaction` that owns its connection.
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
///
/// A repository that holds the transaction:
///
/// ```no_run
/// use tenantry::TenantTransaction;
///
/// struct Accounts {
///     tx: TenantTransaction, // was: Transaction<'static, Postgres>
/// }
///
/// impl Accounts {
///     async fn debit(&mut self, id: i32) -> sqlx::Result<()> {
///         let debit = sqlx::query("update accounts set balance = balance - 10 where id = $1");
///         debit.bind(id).execute(&mut *self.tx).await?;
///         Ok(())
///     }
///
///     async fn save(self) -> sqlx::Result<()> {
///         self.tx.commit().await
///     }
/// }
/// ```
#[must_use = "a transaction is rolled back unless it is committed"]
#[derive(Debug)]
pub struct TenantTransaction {
    lease: Lease,
    /// How the handle that it was begun on follows its tenant.
    follows: Option<Follows>,
}

impl TenantTransaction {
    pub(crate) async fn open(lease: Lease) -> Result<Self, Error> {
        Ok(Self::begin_on(lease, None).await?)
    }

    /// Begins an application transaction with this statement, or with a plain `begin`. If it is
    /// watched, the pool records when it is dropped after changes.
    pub(super) async fn open_with(
        lease: Lease,
        begin: Option<SqlStr>,
        watched: Option<Arc<Watched>>,
    ) -> sqlx::Result<Self> {
        let mut begun = Self::begin_on(lease, begin).await?;
        begun.lease.note_open(watched);
        Ok(begun)
    }

    async fn begin_on(mut lease: Lease, begin: Option<SqlStr>) -> sqlx::Result<Self> {
        // The lease counts as modified from here on, so a transaction that begins after its future
        // was dropped is rolled back like everything else. sqlx's own depth counter would not show
        // it: it is raised only after the response arrives.
        let begin = lease.begin_sql(begin);
        let begun = PgTransactionManager::begin(lease.attempt(), begin).await;
        lease.finish(Effect::OnSession, &begun);
        begun?;
        Ok(Self { lease, follows: None })
    }

    /// Lets it tell whether its tenant has moved.
    pub(super) fn following(self, follows: Option<Follows>) -> Self {
        Self { follows, ..self }
    }

    /// Returns the tenant whose data the transaction changes; `None` for the shared schema.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        self.lease.tenant()
    }

    /// Records whose data the transaction changes from now on, when its schema was given to a
    /// tenant.
    pub(crate) fn now_serves(&mut self, occupant: &Arc<Occupant>) {
        self.lease.now_serves(occupant);
    }

    /// Sets a savepoint, as a nested transaction.
    ///
    /// # Errors
    ///
    /// The server's error.
    ///
    /// # Cancel safety
    ///
    /// Safe: a savepoint that was already set has no effect.
    pub async fn begin(&mut self) -> sqlx::Result<Transaction<'_, Postgres>> {
        Connection::begin(&mut **self).await
    }

    /// Always fails, like [`sqlx::Connection::begin_with`] inside a transaction: a savepoint has no
    /// options. Pass them to [`TenantDb::begin_with`](crate::TenantDb::begin_with).
    ///
    /// # Errors
    ///
    /// [`sqlx::Error::InvalidSavePointStatement`]. Nothing is sent, and the transaction remains
    /// open.
    pub async fn begin_with(
        &mut self,
        statement: impl SqlSafeStr,
    ) -> sqlx::Result<Transaction<'_, Postgres>> {
        Connection::begin_with(&mut **self, statement).await
    }

    /// Commits the transaction and returns the connection to the pool.
    ///
    /// # Errors
    ///
    /// The server's error. For example, a deferred constraint fails here, and everything is rolled
    /// back. If the connection breaks, the transaction may or may not be committed.
    ///
    /// A transaction in which a statement has failed cannot be committed: the error has SQLSTATE
    /// 25P02, or is [`StaleHandle`](crate::ErrorKind::StaleHandle) if the tenant has [moved](Self::explain), and
    /// everything is rolled back. PostgreSQL itself answers such a `commit` with a
    /// silent rollback, which sqlx reports as success. To continue after an expected error, roll
    /// back to a [savepoint](Self::begin).
    ///
    /// # Cancel safety
    ///
    /// When dropped, the transaction may or may not be committed.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        self.lease.note_ended();
        if let Err(error) = self.lease.primary_check().refuse_former() {
            // Its own error says less.
            let _ = self.lease.roll_back().await;
            return Err(error.into());
        }
        let commit = self.lease.commit_sql();
        let committed = raw_sql(commit).execute(self.lease.in_use()).await.map(drop);
        let committed = self.lease.note_commit(committed);
        self.lease.finish(Effect::OnSession, &committed);
        match committed {
            Ok(()) => {
                self.lease.succeed();
                Ok(())
            }
            Err(error) if is_aborted(&error) => Err(self.explain(error).await),
            Err(error) => Err(error),
        }
    }

    /// Rolls back after an error, and returns the error to report: this one, unless the tenant has
    /// moved to another place, which then is its cause.
    ///
    /// Statements on a handle [follow](crate::TenantState) a tenant that moves. Those of a
    /// transaction cannot, and fail with PostgreSQL's error for a missing table (42P01). This method
    /// returns [`StaleHandle`](crate::ErrorKind::StaleHandle) in this case, which says when to try again; the adapters
    /// respond with 503. [`commit`](Self::commit) and
    /// [`TenantDb::transaction`](crate::TenantDb::transaction) do the same on their own.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: tenantry::TenantDb) -> sqlx::Result<()> {
    /// let mut tx = db.begin().await?;
    /// match sqlx::query("update accounts set balance = 0").execute(&mut *tx).await {
    ///     Ok(_) => tx.commit().await,
    ///     Err(error) => Err(tx.explain(error).await),
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// When dropped, the transaction is rolled back.
    pub async fn explain(mut self, error: sqlx::Error) -> sqlx::Error {
        self.lease.note_ended();
        let rolled_back = self.lease.roll_back().await;
        let Self { lease, follows } = self;
        match follows {
            Some(follows) if rolled_back.is_ok() => {
                follows.moved_meanwhile(lease).await.unwrap_or(error)
            }
            _ => error,
        }
    }

    /// Commits and returns the lease, with its session-level locks.
    pub(crate) async fn commit_and_keep(mut self) -> sqlx::Result<Lease> {
        self.lease.note_ended();
        self.lease.primary_check().refuse_former()?;
        let committed = PgTransactionManager::commit(&mut self).await;
        self.lease.finish(Effect::OnSession, &committed);
        committed?;
        self.lease.succeed();
        Ok(self.lease)
    }

    /// Rolls back and returns the lease, with its session-level locks; `None` if the connection was
    /// lost.
    pub(crate) async fn back_out(mut self) -> Option<Lease> {
        self.lease.note_ended();
        PgTransactionManager::rollback(&mut self).await.is_ok().then_some(self.lease)
    }

    /// Rolls back the transaction and returns the connection to the pool.
    ///
    /// Dropping does the same in the background.
    ///
    /// # Errors
    ///
    /// The server's error. The transaction is discarded in any case.
    pub async fn rollback(mut self) -> sqlx::Result<()> {
        self.lease.note_ended();
        self.lease.roll_back().await
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
