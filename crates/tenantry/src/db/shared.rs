use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::{Postgres, SqlSafeStr, Transaction, postgres::types::Oid};

use super::{Handle, TenantTransaction};
use crate::{
    error::Error,
    event::Observer,
    pool::{Lease, Occupant, TransactionWatch},
    tenant::{Ident, SchemaOid},
};

/// The schema that all tenants share: plans, roles, the table of tenants.
///
/// It has the interface of a [`TenantDb`](crate::TenantDb) and takes its connections from the same
/// budget. It is a separate type, so that code written for a tenant cannot receive the shared
/// schema by mistake.
#[derive(Debug, Clone)]
pub struct SharedDb {
    pub(super) handle: Handle,
}

impl SharedDb {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    pub(crate) fn occupant(&self) -> &Arc<Occupant> {
        self.handle.occupant()
    }

    /// Checks, in one round trip, for each occupant that its schema and role exist and may be used; for one
    /// with a database of its own, that the database accepts connections.
    pub(crate) async fn reachable(&self, of: &[Arc<Occupant>]) -> Result<Vec<bool>, Error> {
        let schemas: Vec<_> = of.iter().map(|occupant| occupant.schema().to_string()).collect();
        let role = |occupant: &Arc<Occupant>| occupant.binding.role().map(ToString::to_string);
        let roles: Vec<_> = of.iter().map(role).collect();
        let database =
            |occupant: &Arc<Occupant>| occupant.home().database().map(ToString::to_string);
        let databases: Vec<_> = of.iter().map(database).collect();
        let reachable = sqlx::query_scalar(
            "select coalesce(case \
               when asked.database is not null then d.datallowconn \
                 and pg_catalog.has_database_privilege(d.oid, 'connect') \
               when asked.role is null then pg_catalog.has_schema_privilege(n.oid, 'usage') \
               when r.oid is null then false \
               else pg_catalog.has_schema_privilege(r.oid, n.oid, 'usage') end, false) \
             from rows from ( \
                 pg_catalog.unnest($1::pg_catalog.text[]), \
                 pg_catalog.unnest($2::pg_catalog.text[]), \
                 pg_catalog.unnest($3::pg_catalog.text[])) \
               with ordinality as asked (schema, role, database, place) \
             left join pg_catalog.pg_namespace n on n.nspname operator(pg_catalog.=) asked.schema \
             left join pg_catalog.pg_roles r on r.rolname operator(pg_catalog.=) asked.role \
             left join pg_catalog.pg_database d on d.datname operator(pg_catalog.=) asked.database \
             order by asked.place",
        );
        reachable
            .bind(schemas)
            .bind(roles)
            .bind(databases)
            .fetch_all(self)
            .await
            .map_err(Error::from)
    }

    /// Returns `true` if the server has ever answered.
    pub(crate) fn has_answered(&self) -> bool {
        self.handle.has_answered()
    }

    /// Looks up which schemas have these names, in one round trip. Missing names do not exist.
    pub(crate) async fn schemas_named(
        &self,
        names: impl IntoIterator<Item = &Ident>,
    ) -> Result<HashMap<String, SchemaOid>, Error> {
        let names: Vec<_> = names.into_iter().map(Ident::as_str).collect();
        let there = sqlx::query_as(
            "select n.nspname::pg_catalog.text, n.oid from pg_catalog.pg_namespace n \
             where n.nspname operator(pg_catalog.=) any($1::pg_catalog.text[])",
        );
        let there: Vec<(String, Oid)> = there.bind(names).fetch_all(self).await?;
        Ok(there.into_iter().map(|(name, Oid(oid))| (name, SchemaOid::new(oid))).collect())
    }

    /// Runs a task in the background until the manager is closed. Drops it if there is no runtime,
    /// or no longer one.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(task);
    }

    /// Begins a transaction in the schema with the maintenance login, which may have privileges
    /// that the manager lacks.
    pub(crate) async fn begin_upkeep(&self) -> Result<TenantTransaction, Error> {
        self.handle.begin_upkeep().await
    }

    /// Returns the manager's role, if maintenance uses another one.
    pub(crate) fn role_of_manager(&self) -> Option<&Ident> {
        self.handle.role_of_manager()
    }

    /// Returns the first schema of the search path.
    pub(crate) fn schema(&self) -> &Ident {
        let path = &self.handle.occupant().binding.search_path;
        path.first().expect("every binding that a handle has names a schema")
    }

    pub(crate) fn observer(&self) -> &Observer {
        self.handle.observer()
    }

    /// Acquires a connection that is bound to the shared schema.
    ///
    /// # Errors
    ///
    /// Those of [`TenantDb::acquire`](crate::TenantDb::acquire).
    ///
    /// # Cancel safety
    ///
    /// Safe, like [`TenantDb::acquire`](crate::TenantDb::acquire).
    pub async fn acquire(&self) -> sqlx::Result<Lease> {
        Ok(self.handle.lease().await?)
    }

    /// Checks out a connection for a part of the library that holds several in one task.
    pub(crate) async fn acquire_for_library(&self) -> Result<Lease, Error> {
        self.handle.lease_of_library().await
    }

    /// Acquires a connection like [`acquire`](Self::acquire), but waits at most `limit`; see
    /// [`TenantDb::acquire_within`](crate::TenantDb::acquire_within).
    ///
    /// # Errors
    ///
    /// Those of [`TenantDb::acquire`](crate::TenantDb::acquire).
    ///
    /// # Cancel safety
    ///
    /// Safe, like [`TenantDb::acquire`](crate::TenantDb::acquire).
    pub async fn acquire_within(&self, limit: Duration) -> sqlx::Result<Lease> {
        Ok(self.handle.lease_within(limit).await?)
    }

    /// Acquires a connection if one is idle; see
    /// [`TenantDb::try_acquire`](crate::TenantDb::try_acquire).
    ///
    /// # Errors
    ///
    /// Those of [`TenantDb::try_acquire`](crate::TenantDb::try_acquire).
    ///
    /// # Cancel safety
    ///
    /// Safe, like [`TenantDb::acquire`](crate::TenantDb::acquire).
    pub async fn try_acquire(&self) -> sqlx::Result<Option<Lease>> {
        Ok(self.handle.try_lease().await?)
    }

    /// Acquires a connection and begins a transaction on it.
    ///
    /// # Errors
    ///
    /// Those of [`TenantDb::begin`](crate::TenantDb::begin).
    ///
    /// # Cancel safety
    ///
    /// Safe, like [`TenantDb::begin`](crate::TenantDb::begin).
    pub async fn begin(&self) -> sqlx::Result<TenantTransaction> {
        self.handle.begin(None).await
    }

    /// Acquires a connection and begins a transaction on it with this statement.
    ///
    /// # Errors
    ///
    /// Those of [`TenantDb::begin_with`](crate::TenantDb::begin_with).
    ///
    /// # Cancel safety
    ///
    /// Safe, like [`TenantDb::begin`](crate::TenantDb::begin).
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
    /// # async fn example(db: tenantry::SharedDb) -> sqlx::Result<()> {
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

    /// Returns a handle on the same schema whose transactions are watched; see
    /// [`TenantDb::watch_transactions`](crate::TenantDb::watch_transactions).
    pub fn watch_transactions(&self) -> (Self, TransactionWatch) {
        let (handle, watch) = self.handle.watched();
        (Self { handle }, watch)
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
    pub async fn ready(&self) -> Result<&Self, Error> {
        self.handle.ready().await?;
        Ok(self)
    }
}
