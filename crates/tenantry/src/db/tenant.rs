use std::{sync::Arc, time::Duration};

use sqlx::{Postgres, SqlSafeStr, Transaction};

use super::{Handle, ReadDb, SharedDb, TenantTransaction};
use crate::{
    error::Error,
    pool::{ConsistencyToken, Lease, Occupant, Server, TransactionWatch},
    tenant::Tenant,
};

/// The database of one tenant.
///
/// `&TenantDb` is an [`sqlx::Executor`]: it works with `query`, `query_as`, the `query!` macros,
/// `QueryBuilder` and streams. Each statement holds a connection only while it runs; a `TenantDb`
/// itself holds none.
///
/// It is not an [`sqlx::Acquire`], whose `begin` must return an [`sqlx::Transaction`] that owns its
/// connection; only sqlx's own pool can create one. For a function that takes `impl Acquire<'_>`,
/// pass `&mut *db.acquire().await?` or the `tx` of [`transaction`](Self::transaction).
///
/// The manager creates a handle after it has found the tenant in the catalog. A handle cannot be
/// pointed at another tenant, and it is cheap to clone: move it into a task, and the tenant goes
/// with it. When the tenant is renamed or dropped, the handle fails with
/// [`StaleHandle`](crate::ErrorKind::StaleHandle) from then on, even if a new tenant has the same
/// name.
///
/// When the tenant moves to another [placement](crate::Placement), the handle follows, provided that
/// the catalog says when the tenant was [created](crate::Tenant::created_at). A single query or data
/// change that does not find its table, schema or database (SQLSTATE 42P01, 3F000, 3D000) is run
/// again at the new place. To find out, the catalog is asked; if it says nothing new, not again
/// within 1 s.
/// Transactions, and leases by [`acquire`](Self::acquire), wait while the tenant is in
/// [cutover](crate::TenantState::Cutover), at most for the acquire timeout, once the process has heard of that.
/// [`tenant`](Self::tenant) keeps describing the tenant as it was looked up.
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

    /// Returns the tenant of this database.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Counts a request against the tenant's
    /// [`requests_per_second`](crate::TenantLimits::requests_per_second).
    ///
    /// The adapters' middlewares call it for each request that they admit. Call it where work arrives
    /// another way, such as in a worker that takes jobs from a queue. Statements and acquires do not count.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// let db = manager.tenant("acme").await?;
    /// if let Err(error) = db.check_rate() {
    ///     println!("again in {:?}", error.retry_after());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RateLimited`](crate::ErrorKind::RateLimited) when the tenant is over its rate, with
    /// [`retry_after`](Error::retry_after); never without a rate.
    pub fn check_rate(&self) -> Result<(), Error> {
        self.handle.check_rate()
    }

    /// Returns the schema shared by all tenants, like
    /// [`TenantManager::shared`](crate::TenantManager::shared), for code that has the handle but
    /// not the manager.
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

    /// Returns a handle for reading, on a [replica](crate::ManagerBuilder::replica) of the tenant's server where
    /// possible. It sees what was written through this and all other handles of the tenant in this process.
    ///
    /// # Examples
    ///
    /// See [`ReadDb`].
    #[must_use]
    pub fn read(&self) -> ReadDb {
        ReadDb::new(self.handle.clone(), self.tenant.clone())
    }

    /// Returns a token for everything that was committed on the tenant's server until now, for reads in other
    /// processes: pass it to [`ReadDb::at_least`]. Call it after the commit. One round trip.
    ///
    /// It works whether or not this process has replicas.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn enqueue(job: String) {}
    /// # async fn example(db: tenantry::TenantDb) -> Result<(), Box<dyn std::error::Error>> {
    /// sqlx::query("update users set name = 'Ada'").execute(&db).await?;
    /// let token = db.consistency_token().await?;
    /// enqueue(format!("index-users {token}")).await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire), and [`ReadOnly`](crate::ErrorKind::ReadOnly) if the server is in recovery.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn consistency_token(&self) -> Result<ConsistencyToken, Error> {
        self.handle.server.token().await
    }

    /// Returns the settings that bind a session to the tenant, by name: `search_path`, `role` if
    /// the tenant has one, the key of tables of all tenants, and the recorded settings.
    ///
    /// Use it for programs that open their own session, such as `psql` with `PGOPTIONS`. It does no
    /// I/O: acquire a connection first to make sure that the schema exists, because otherwise names
    /// resolve only in the shared schema.
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
        let role = binding.role().map(|role| ("role".to_owned(), role.to_string()));
        let key = binding.key().map(|key| (key.setting.to_string(), key.value.to_string()));
        let settings = binding.settings().iter().cloned();
        std::iter::once(path).chain(key).chain(role).chain(settings).collect()
    }

    /// Acquires a connection that is bound to the tenant.
    ///
    /// Use it for several statements that need one session, for `COPY`, and for any sqlx API that
    /// needs a connection. The session is reset afterwards, in the background.
    ///
    /// The session starts without statements prepared for other tenants, and while the lease lives,
    /// the name of the tenant's schema is not given to another tenant. If the connection was last
    /// used through a handle, this takes one more round trip.
    ///
    /// # Errors
    ///
    /// As with sqlx's pool the error is an [`sqlx::Error`], so `?` works in functions that return
    /// one. [`Error::from`](crate::Error) recovers the kind:
    ///
    /// [`Timeout`](crate::ErrorKind::Timeout) when no connection became free within the acquire
    /// timeout, [`Overloaded`](crate::ErrorKind::Overloaded) when too many requests of this tenant
    /// are already waiting, [`Unavailable`](crate::ErrorKind::Unavailable) when no connection could
    /// be opened, [`StaleHandle`](crate::ErrorKind::StaleHandle) when the tenant was renamed,
    /// dropped or recreated after the handle was created,
    /// [`TransactionPooler`](crate::ErrorKind::TransactionPooler) behind a pooler in transaction
    /// mode, and [`Closed`](crate::ErrorKind::Closed) after
    /// [`TenantManager::close`](crate::TenantManager::close).
    ///
    /// # Cancel safety
    ///
    /// Safe: when dropped, the place in the queue is given up, or the connection returns to the
    /// pool.
    pub async fn acquire(&self) -> sqlx::Result<Lease> {
        Ok(self.handle.lease().await?)
    }

    /// Acquires a connection like [`acquire`](Self::acquire), but waits at most `limit`, regardless
    /// of [`acquire_timeout`](crate::PoolOptions::acquire_timeout).
    ///
    /// Use a short limit for work that has a fallback, and a long one for background jobs. With
    /// [`Duration::ZERO`] it fails unless it gets a connection without any wait, including a wait
    /// for the server; for that, [`try_acquire`](Self::try_acquire) is the better choice.
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
    /// Safe, like [`acquire`](Self::acquire).
    pub async fn acquire_within(&self, limit: Duration) -> sqlx::Result<Lease> {
        Ok(self.handle.lease_within(limit).await?)
    }

    /// Acquires a connection if one is idle; returns `None` if none is, or if the tenant is at its
    /// limit.
    ///
    /// It never waits in the queue and never opens a connection, but it may wait for one round trip
    /// to the server: a connection that was last used for another tenant, or has been idle for a
    /// while, is prepared as usual. It does not overtake waiting requests of the tenant.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire), except [`Overloaded`](crate::ErrorKind::Overloaded).
    /// [`Timeout`](crate::ErrorKind::Timeout) means that the server did not answer.
    ///
    /// # Cancel safety
    ///
    /// Safe, like [`acquire`](Self::acquire).
    pub async fn try_acquire(&self) -> sqlx::Result<Option<Lease>> {
        Ok(self.handle.try_lease().await?)
    }

    /// Checks out a connection for a part of the library that holds several in one task.
    pub(crate) async fn acquire_for_library(&self) -> Result<Lease, Error> {
        self.handle.lease_of_library().await
    }

    pub(crate) async fn acquire_alive(&self) -> Result<Lease, Error> {
        self.handle.acquire_alive().await
    }

    pub(crate) fn is_warm(&self) -> bool {
        self.handle.is_warm()
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.handle.server
    }

    pub(crate) fn occupant(&self) -> &Arc<Occupant> {
        self.handle.occupant()
    }

    /// Acquires a connection and begins a transaction on it.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire), and [`Database`](crate::ErrorKind::Database) when the
    /// server refuses to begin.
    ///
    /// # Cancel safety
    ///
    /// Safe: a transaction that has already begun is rolled back before the connection is reused.
    pub async fn begin(&self) -> sqlx::Result<TenantTransaction> {
        self.handle.begin(None).await
    }

    /// Acquires a connection and begins a transaction on it with this statement.
    ///
    /// The statement is a literal or any other [`sqlx::SqlSafeStr`].
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
    /// Those of [`begin`](Self::begin), and [`sqlx::Error::BeginFailed`] when the statement does
    /// not begin a transaction.
    ///
    /// # Cancel safety
    ///
    /// Safe, like [`begin`](Self::begin).
    pub async fn begin_with(&self, statement: impl SqlSafeStr) -> sqlx::Result<TenantTransaction> {
        self.handle.begin(Some(statement.into_sql_str())).await
    }

    /// Runs work in a transaction: commits when it returns `Ok`, rolls back when it returns `Err` or is
    /// dropped.
    ///
    /// The work receives an [`sqlx::Transaction`], so it can call functions that take
    /// `&mut Transaction<'_, Postgres>` or `&mut PgConnection` unchanged. It may borrow from its
    /// environment. Its error is any type that implements `From<sqlx::Error>`.
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
    /// [`commit`](crate::TenantTransaction::commit). If the work ignored the error of a statement
    /// outside a savepoint, the commit fails with SQLSTATE 25P02.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the transaction is rolled back in the background, before the connection is
    /// reused. When dropped during the commit, the transaction may or may not be committed.
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Transaction<'_, Postgres>) -> Result<T, E>,
        E: From<sqlx::Error>,
    {
        self.handle.transaction(work).await
    }

    /// Returns a handle on the same database whose transactions are watched. A transaction that is
    /// dropped without `commit` after it changed something is logged as a warning, once the work is
    /// known to have [succeeded](TransactionWatch::succeeded).
    ///
    /// The watch covers transactions that [`begin`](Self::begin) and
    /// [`begin_with`](Self::begin_with) of this handle and its clones start. It does not cover
    /// [`transaction`](Self::transaction), which commits by itself, or transactions on a [`Lease`].
    /// It costs nothing until a transaction is dropped; then the pool asks the server in the
    /// background, before the rollback, whether the transaction had changed anything. Rows locked
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

    /// Acquires a connection and pings the server on it.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire).
    pub async fn ping(&self) -> Result<(), Error> {
        self.handle.ping().await
    }

    /// Validates the handle: checks that the database answers, and retries if it does not.
    ///
    /// Worth a round trip before work that must not fail halfway because the database is down. The
    /// number of attempts is set by [`PoolOptions::retry`](crate::PoolOptions::retry), on top of
    /// the retries of each connect; the call always ends after the acquire timeout.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire), from the last attempt.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn ready(self) -> Result<Self, Error> {
        self.handle.ready().await?;
        Ok(self)
    }
}
