use sqlx::{Postgres, SqlSafeStr, Transaction};

use super::{
    Handle, TenantTransaction,
    reader::{BEGIN, Reader},
};
use crate::{pool::ConsistencyToken, tenant::Tenant};

/// The database of one tenant for reading, on a [replica](crate::ManagerBuilder::replica) where possible.
///
/// [`TenantDb::read`](crate::TenantDb::read) returns one. `&ReadDb` is an [`sqlx::Executor`] like
/// `&TenantDb`, but runs only queries, and its transactions are read-only. Without replicas,
/// everything runs on the tenant's server, in the same way.
///
/// **Own writes are read back.** A read sees everything that this process has written for the tenant
/// before, through any of its handles. A replica may lag behind, so the first read after a write
/// asks the primary for its position in the log, and waits up to 20 ms for the replica to get
/// there; otherwise the read runs on the primary. Everything but a [`ReadDb`] counts as a write: a
/// query on a [`TenantDb`](crate::TenantDb) can call a function that changes data, and a
/// [`Lease`](crate::Lease) or a transaction can do anything while it is held. Seeds, migrations and other maintenance
/// count, too. What other processes have written is
/// seen with a [token](Self::at_least), and otherwise after the
/// [lag limit](crate::ReplicaOptions::max_lag) at the latest. So is what was written through
/// [`SharedDb`](crate::SharedDb), to tables of all tenants.
///
/// **The primary answers** also when the replica is away or too far behind, while the primary has not been
/// asked for its position for too long, if the replica cancels a query to go on with the log (SQLSTATE
/// 40001), if a table or column is not there yet, and for tenants whose search path has tables of other
/// schemas ([`tenants_see_shared`](crate::ManagerBuilder::tenants_see_shared)). A single query
/// is run again by itself; in a transaction, it is an error.
///
/// **What writes is refused** with [`ReadOnly`](crate::ErrorKind::ReadOnly). A query that names something that
/// changes or locks rows, such as `select … for update`, runs in a read-only transaction where the
/// server takes writes, and fails. The exception is a function of the application that writes: it
/// fails on a replica, and may run on the primary.
///
/// # Examples
///
/// ```no_run
/// # async fn example(db: tenantry::TenantDb) -> sqlx::Result<()> {
/// sqlx::query("insert into users (name) values ('Ada')").execute(&db).await?;
/// let names: Vec<String> =
///     sqlx::query_scalar("select name from users").fetch_all(&db.read()).await?;
/// assert!(names.contains(&"Ada".to_owned()));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ReadDb {
    pub(super) reader: Reader,
    tenant: Tenant,
}

impl ReadDb {
    pub(super) fn new(handle: Handle, tenant: Tenant) -> Self {
        Self { reader: Reader { handle, token: None }, tenant }
    }

    /// Returns the tenant of this database.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Returns a handle whose reads see everything that was committed before the token was made, in any
    /// process. Of several, the last one applies.
    ///
    /// A token of another server, or from before a failover, makes reads go to the primary. One from after a failover
    /// that this process does not know of makes it look for the new primary. One with a position that the primary has
    /// not reached has no effect.
    ///
    /// # Examples
    ///
    /// The token of a request that has written comes back in a cookie:
    ///
    /// ```no_run
    /// # async fn example(db: tenantry::TenantDb, cookie: Option<&str>) -> sqlx::Result<()> {
    /// let token = cookie.and_then(|cookie| cookie.parse().ok());
    /// let orders: i64 = sqlx::query_scalar("select count(*) from orders")
    ///     .fetch_one(&db.read().at_least(token))
    ///     .await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn at_least(mut self, token: impl Into<Option<ConsistencyToken>>) -> Self {
        self.reader.token = token.into();
        self
    }

    /// Acquires a connection and begins a read-only transaction on it, which cannot be made writable.
    ///
    /// A transaction stays on its server. On a replica, its queries fail with
    /// [`SerializationFailure`](crate::ErrorKind::SerializationFailure) if they stand in the way of the log for
    /// longer than the server's `max_standby_streaming_delay`; run it again.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: tenantry::TenantDb) -> sqlx::Result<()> {
    /// let mut tx = db.read().begin().await?;
    /// let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut *tx).await?;
    /// tx.commit().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`TenantDb::begin`](crate::TenantDb::begin).
    ///
    /// # Cancel safety
    ///
    /// Safe, like [`TenantDb::begin`](crate::TenantDb::begin).
    pub async fn begin(&self) -> sqlx::Result<TenantTransaction> {
        self.reader.begin(BEGIN.into_sql_str()).await
    }

    /// Acquires a connection and begins a transaction on it with this statement, which has to say
    /// `read only`, such as `begin isolation level repeatable read read only`. A server in recovery
    /// does not support `serializable`.
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin), and [`ReadOnly`](crate::ErrorKind::ReadOnly) if the statement does anything
    /// else.
    ///
    /// # Cancel safety
    ///
    /// Safe, like [`begin`](Self::begin).
    pub async fn begin_with(&self, statement: impl SqlSafeStr) -> sqlx::Result<TenantTransaction> {
        self.reader.begin(statement.into_sql_str()).await
    }

    /// Runs work in a read-only transaction, like [`TenantDb::transaction`](crate::TenantDb::transaction). It runs
    /// once, on one server.
    ///
    /// # Errors
    ///
    /// The error of the work, or those of [`begin`](Self::begin).
    ///
    /// # Cancel safety
    ///
    /// When dropped, the transaction is rolled back in the background.
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Transaction<'_, Postgres>) -> Result<T, E>,
        E: From<sqlx::Error>,
    {
        self.reader.transaction(work).await
    }
}
