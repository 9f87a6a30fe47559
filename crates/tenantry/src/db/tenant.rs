use std::{sync::Arc, time::Duration};

use sqlx::{Postgres, SqlSafeStr, Transaction};

use super::{Handle, SharedDb, TenantTransaction};
use crate::{
    error::Error,
    pool::{Lease, Occupant, TransactionWatch},
    tenant::Tenant,
};

/// The database of one tenant.
///
/// `&TenantDb` is an [`sqlx::Executor`]: it works with `query`, `query_as`, the `query!` macros,
/// `QueryBuilder` and streams. Every statement takes a connection only while it runs; holding a
/// `TenantDb` holds none.
///
/// It is not an [`sqlx::Acquire`], whose `begin` has to return an [`sqlx::Transaction`] that owns its
/// connection, and only sqlx's own pool can make one. Where a function takes `impl Acquire<'_>`, pass
/// `&mut *db.acquire().await?` or the `tx` of [`transaction`](Self::transaction).
///
/// A handle is made by the manager once the catalog has named the tenant, cannot be pointed at
/// another one, and is cheap to clone: move it into a task, and the tenant goes with it. When the
/// tenant is renamed or dropped, the handle is refused from then on as
/// [`StaleHandle`](crate::ErrorKind::StaleHandle), also when a new tenant has got the name.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) -> Result<(), Box<dyn std::error::Error>> {
/// let db = manager.tenant("acme").await?;
/// let names: Vec<String> = sqlx::query_scalar("select name from users").fetch_all(&db).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct TenantDb {
    pub(super) handle: Handle,
    tenant: Tenant,
}

impl TenantDb {
    pub(crate) fn new(handle: Handle, tenant: Tenant) -> Self {
        Self { handle, tenant }
    }

    /// Returns the tenant whose database this is.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Returns the schema that this tenant shares with the others, as
    /// [`TenantManager::shared`](crate::TenantManager::shared) does: for code that has the handle and not the
    /// manager.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: tenantry::TenantDb) -> sqlx::Result<()> {
    /// let plan: String = sqlx::query_scalar("select plan from plans where tenant = $1")
    ///     .bind(db.tenant().id().as_str())
    ///     .fetch_one(&db.shared())
    ///     .await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn shared(&self) -> SharedDb {
        SharedDb::new(self.handle.shared())
    }

    /// Returns what makes a session the tenant's, as settings by name: `search_path`, `role` where the tenant has one,
    /// and the settings on record, in the order in which they are set.
    ///
    /// For programs that open a session by themselves, such as `psql` with `PGOPTIONS`. Nothing is asked of the server:
    /// take a connection first to make sure that the schema exists, or names are looked up in the shared schema alone.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// let db = manager.tenant("acme").await?;
    /// for (name, value) in db.session_settings() {
    ///     println!("{name} = {value}"); // search_path = "tenant_acme"
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn session_settings(&self) -> Vec<(String, String)> {
        let binding = &self.handle.occupant().binding;
        let path = binding.search_path.iter().map(|schema| schema.quoted().to_string());
        let path = ("search_path".to_owned(), path.collect::<Vec<_>>().join(", "));
        let role = binding.role.as_ref().map(|role| ("role".to_owned(), role.to_string()));
        std::iter::once(path).chain(role).chain(binding.settings.iter().cloned()).collect()
    }

    /// Takes a connection that is bound to the tenant.
    ///
    /// Right for several statements that need one session, for `COPY`, and for everything that sqlx
    /// offers on a connection alone. The session is reset afterwards, in the background.
    ///
    /// It starts without statements that were prepared for other tenants, and while it lives, the name of
    /// the tenant's schema is not given to another tenant. Where the connection was last used through a
    /// handle, that takes one round trip more.
    ///
    /// # Errors
    ///
    /// As with sqlx's pool the error is an [`sqlx::Error`], so `?` works in functions that return one.
    /// [`Error::from`](crate::Error) tells what it is:
    ///
    /// [`Timeout`](crate::ErrorKind::Timeout) when none became free within the acquire timeout,
    /// [`Overloaded`](crate::ErrorKind::Overloaded) when too many of this tenant wait already,
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when none could be opened,
    /// [`StaleHandle`](crate::ErrorKind::StaleHandle) when the tenant was renamed, dropped or created anew
    /// since the handle was made,
    /// [`TransactionPooler`](crate::ErrorKind::TransactionPooler) behind a pooler in transaction mode, and
    /// [`Closed`](crate::ErrorKind::Closed) after [`TenantManager::close`](crate::TenantManager::close).
    ///
    /// # Cancel safety
    ///
    /// Safe: when dropped, the place in the queue, or the connection, goes back to the pool.
    pub async fn acquire(&self) -> sqlx::Result<Lease> {
        Ok(self.handle.lease().await?)
    }

    /// Takes a connection as [`acquire`](Self::acquire) does, and waits for `limit` at most, whatever
    /// [`acquire_timeout`](crate::PoolOptions::acquire_timeout) says.
    ///
    /// A short one suits work that has something else to offer, and a long one a job in the background that
    /// nobody waits for. With [`Duration::ZERO`] it fails unless it gets a connection without waiting at
    /// all, for the server either; [`try_acquire`](Self::try_acquire) is meant for that.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # async fn example(db: tenantry::TenantDb) -> sqlx::Result<()> {
    /// let mut lease = db.acquire_within(Duration::from_secs(60)).await?;
    /// sqlx::query("refresh materialized view totals").execute(&mut *lease).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// Safe, as [`acquire`](Self::acquire) is.
    pub async fn acquire_within(&self, limit: Duration) -> sqlx::Result<Lease> {
        Ok(self.handle.lease_within(limit).await?)
    }

    /// Takes a connection if one is idle; `None` if none is, or if the tenant may have no more.
    ///
    /// It never waits in the queue and never opens a connection, but it may send one message to the server
    /// and wait for the answer: a connection that was last used for another tenant, or has been idle for a
    /// while, is prepared as every other. It does not overtake requests of the tenant that are waiting.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire), but for
    /// [`Overloaded`](crate::ErrorKind::Overloaded). [`Timeout`](crate::ErrorKind::Timeout) means that the
    /// server has not answered.
    ///
    /// # Cancel safety
    ///
    /// Safe, as [`acquire`](Self::acquire) is.
    pub async fn try_acquire(&self) -> sqlx::Result<Option<Lease>> {
        Ok(self.handle.try_lease().await?)
    }

    /// Takes a connection for a part of the library that has several in one task.
    pub(crate) async fn acquire_for_library(&self) -> Result<Lease, Error> {
        self.handle.lease_of_library().await
    }

    pub(crate) async fn acquire_alive(&self) -> Result<Lease, Error> {
        self.handle.acquire_alive().await
    }

    pub(crate) fn is_warm(&self) -> bool {
        self.handle.is_warm()
    }

    pub(crate) fn occupant(&self) -> &Arc<Occupant> {
        self.handle.occupant()
    }

    /// Takes a connection and begins a transaction on it.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire), and [`Database`](crate::ErrorKind::Database) when the
    /// server refuses to begin.
    ///
    /// # Cancel safety
    ///
    /// Safe: a transaction that was begun on the way is rolled back before the connection is used again.
    pub async fn begin(&self) -> sqlx::Result<TenantTransaction> {
        self.handle.begin(None).await
    }

    /// Takes a connection and begins a transaction on it with this statement.
    ///
    /// The statement may be a literal, or anything else that is an [`sqlx::SqlSafeStr`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: tenantry::TenantDb) -> sqlx::Result<()> {
    /// let mut tx = db.begin_with("begin isolation level serializable read only").await?;
    /// let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut *tx).await?;
    /// tx.commit().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin), and [`sqlx::Error::BeginFailed`] when the statement begins no
    /// transaction.
    ///
    /// # Cancel safety
    ///
    /// Safe, as [`begin`](Self::begin) is.
    pub async fn begin_with(&self, statement: impl SqlSafeStr) -> sqlx::Result<TenantTransaction> {
        self.handle.begin(Some(statement.into_sql_str())).await
    }

    /// Runs work in a transaction: commits when it returns `Ok`, rolls back when it returns `Err` or is
    /// dropped.
    ///
    /// The work gets an [`sqlx::Transaction`], so functions that take `&mut Transaction<'_, Postgres>` or
    /// `&mut PgConnection` can be called as they are. It may borrow what is around it. Its error is any type
    /// that is made from an [`sqlx::Error`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sqlx::{Postgres, Transaction};
    ///
    /// async fn debit(tx: &mut Transaction<'_, Postgres>, id: i32, by: i64) -> sqlx::Result<()> {
    ///     let debit = sqlx::query("update accounts set balance = balance - $2 where id = $1");
    ///     debit.bind(id).bind(by).execute(&mut **tx).await?;
    ///     Ok(())
    /// }
    ///
    /// # async fn example(db: tenantry::TenantDb) -> sqlx::Result<()> {
    /// let amount = 10;
    /// db.transaction(async |tx: &mut Transaction<'_, Postgres>| {
    ///     debit(tx, 1, amount).await?;
    ///     debit(tx, 2, -amount).await
    /// })
    /// .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the work, or those of [`begin`](Self::begin) and
    /// [`commit`](crate::TenantTransaction::commit). Where the work has passed over the error of a
    /// statement outside of a savepoint, the commit fails with SQLSTATE 25P02.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the transaction is rolled back in the background, before the connection is used
    /// again; dropped during the commit, it may have been committed or not.
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Transaction<'_, Postgres>) -> Result<T, E>,
        E: From<sqlx::Error>,
    {
        self.handle.transaction(work).await
    }

    /// Returns a handle on the same database whose transactions are watched: one that is dropped without
    /// `commit` after it has changed something is logged as a warning, once the work is known to have
    /// [succeeded](TransactionWatch::succeeded).
    ///
    /// The watch covers what [`begin`](Self::begin) and [`begin_with`](Self::begin_with) of that handle and
    /// its clones begin. It does not cover [`transaction`](Self::transaction), which commits by itself, nor
    /// one that is begun on a [`Lease`]. It costs nothing until a transaction is dropped; then the server is
    /// asked in the background, before the rollback, whether it had changed anything. Rows that were locked
    /// with `select … for update` count as changes.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: tenantry::TenantDb) -> sqlx::Result<()> {
    /// let (db, watch) = db.watch_transactions();
    /// let mut tx = db.begin().await?;
    /// sqlx::query("delete from drafts").execute(&mut *tx).await?;
    /// drop(tx); // a `commit` was forgotten
    /// watch.succeeded(); // logs "a transaction was dropped without commit, and …"
    /// # Ok(()) }
    /// ```
    pub fn watch_transactions(&self) -> (Self, TransactionWatch) {
        let (handle, watch) = self.handle.watched();
        (Self { handle, tenant: self.tenant.clone() }, watch)
    }

    /// Takes a connection and asks the server for a sign of life on it.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire).
    pub async fn ping(&self) -> Result<(), Error> {
        self.handle.ping().await
    }

    /// Validates the handle: makes sure that the database answers, and tries again for a while when it
    /// does not.
    ///
    /// Worth a round trip at the start of work that must not fail half-way for want of a database. How
    /// often it tries is [`PoolOptions::retry`](crate::PoolOptions::retry), on top of what each opening
    /// of a connection tries by itself; it ends after the acquire timeout in any case.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire), of the last attempt.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn ready(self) -> Result<Self, Error> {
        self.handle.ready().await?;
        Ok(self)
    }
}
