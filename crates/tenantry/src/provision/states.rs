//! Suspends, resumes and renames tenants.

use sqlx::PgConnection;

use super::{
    Provisioner, StoredName,
    answer::{busy, is_lock_timeout, taken},
    commit::roll_back,
    holders::{self, Held},
    inventory, retired,
    step::refuse_unfinished,
    written::rename_sql,
};
use crate::{
    catalog::{CatalogChange, refuse_moving},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::try_lock,
    sql::Sql,
    tenant::{Ident, ParseTenantIdError, TenantId, TenantRecord, TenantState},
};

impl Provisioner {
    /// Suspends a tenant: its requests are refused. Its data stays, and it is still migrated.
    ///
    /// Other processes learn of it immediately if the catalog announces changes, as
    /// [`TableCatalog`](crate::TableCatalog) does; existing handles stay usable.
    ///
    /// # Errors
    ///
    /// [`UnknownTenant`](ErrorKind::UnknownTenant); [`Busy`](ErrorKind::Busy) while the tenant is being moved;
    /// [`Catalog`](ErrorKind::Catalog) if the catalog cannot be written, such as one that finds tenants by their
    /// schemas.
    ///
    /// # Cancel safety
    ///
    /// If dropped, the tenant is either suspended or not.
    pub async fn suspend<I>(&self, id: I) -> Result<(), Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        self.set_state(id.try_into().map_err(Into::into)?, TenantState::Suspended).await
    }

    /// Resumes a suspended tenant.
    ///
    /// # Errors
    ///
    /// As [`suspend`](Self::suspend).
    ///
    /// # Cancel safety
    ///
    /// If dropped, the tenant is either suspended or not.
    pub async fn resume<I>(&self, id: I) -> Result<(), Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        self.set_state(id.try_into().map_err(Into::into)?, TenantState::Active).await
    }

    async fn set_state(&self, id: TenantId, state: TenantState) -> Result<(), Error> {
        let record = self.fleet.record(&id).await?;
        refuse_unfinished(&record)?;
        refuse_moving(&id, record.state)?;
        // The outcome of a commit that failed or was dropped is unknown.
        let _forget = self.fleet.forget_after(vec![id.clone()]);
        let mut tx = self.begin_shared().await?;
        self.fleet.write(&mut tx, CatalogChange::State(&id, state)).await?;
        self.commit(tx).await.map_err(|error| error.with_tenant(&id))?;
        self.fleet.forget(&id);
        Ok(())
    }

    /// Renames a tenant, and renames its schema accordingly, unless the catalog stores a schema name for it.
    ///
    /// Requests of the tenant wait meanwhile. Running statements are not disturbed; open transactions and leases no
    /// longer find tables, and existing handles are refused with [`StaleHandle`](ErrorKind::StaleHandle), immediately
    /// in this process and within 5 s in others. If [tenants see the shared
    /// schema](crate::ManagerBuilder::tenants_see_shared), the rename waits for transactions and leases.
    ///
    /// Text that contains the old name does not follow a rename, and would refer to the next tenant of that name. The
    /// same transaction therefore searches for it: the `search_path` of functions, roles and the database is changed;
    /// anything else that refers to the schema, such as `acme.users` in the body of a function or in a literal, is an
    /// error. A mere mention, such as a comment, is logged as a warning.
    ///
    /// A tenant that is [isolated by row](crate::Isolation::row) keeps its rows and their key, as do all tenants of a
    /// manager that has rows configured. If the key was the id, the catalog must be able to record it, as
    /// [`TableCatalog`](crate::TableCatalog) does.
    ///
    /// A tenant in a [database](crate::Isolation::database) of its own, or on a
    /// [further server](crate::ManagerBuilder::server), keeps the names of its database and schema, which the catalog
    /// must be able to record.
    ///
    /// The old name is reserved for a while, see [`NameInUse`](ErrorKind::NameInUse), in a table `tenantry_retired`
    /// of the shared schema.
    ///
    /// # Errors
    ///
    /// [`UnknownTenant`](ErrorKind::UnknownTenant); [`TenantExists`](ErrorKind::TenantExists) if a tenant with the
    /// new id or its schema exists; [`NameInUse`](ErrorKind::NameInUse) if one existed until recently;
    /// [`StoredName`](ErrorKind::StoredName) if something stores the old name as text and cannot be changed;
    /// [`Placement`](ErrorKind::Placement) if the schema holds an extension that is used outside it;
    /// [`Busy`](ErrorKind::Busy) if a migration or a move of the tenant is in progress, or if tenants see the shared schema and
    /// the tenant has open transactions or leases; [`Catalog`](ErrorKind::Catalog) if the catalog cannot be written.
    ///
    /// # Cancel safety
    ///
    /// If dropped, the tenant has either the old id or the new one, and its schema the matching name. Until the
    /// server has ended the interrupted rename, another attempt returns [`Busy`](ErrorKind::Busy).
    pub async fn rename<I, J>(&self, from: I, to: J) -> Result<(), Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
        J: TryInto<TenantId>,
        J::Error: Into<ParseTenantIdError>,
    {
        let from = from.try_into().map_err(Into::into)?;
        let to = to.try_into().map_err(Into::into)?;
        let before = self.fleet.record(&from).await?;
        refuse_unfinished(&before)?;
        // If rows were configured, the sessions of every tenant have a key, under which its rows are.
        let key = self.fleet.lookup().isolations().key(&before).map(|key| key.value);
        let key = key.or_else(|| before.key.clone());
        let after = TenantRecord { id: to.clone(), key, ..before.clone() };
        refuse_moving(&from, before.state)?;
        let site = self.site_of_any(&before)?;
        if !site.home.is_managers() {
            return self.rename_elsewhere(&before, &after, &site).await;
        }
        if self.fleet.is_in_rows(&before) {
            return self.rename_rows(&before, &after).await;
        }
        let (old, new) = (self.fleet.site(&before)?, self.fleet.site(&after)?);
        let shared = self.fleet.shared_site();
        let mut lease = self.fleet.lease_for(&shared).await?;
        if old.schema != new.schema {
            retired::ensure_table(&mut lease, &shared.schema).await?;
        }
        let _forget = self.fleet.forget_after(vec![from.clone(), to.clone()]);
        let _gate = self.fleet.server().close_gate(&from);
        let mut tx = TenantTransaction::open(lease).await?;
        let renamed = async {
            lock(&mut tx, &old.schema).await?;
            if old.schema != new.schema {
                self.rename_schema(&mut tx, (&from, &old.schema), (&to, &new.schema)).await?;
            }
            let change = CatalogChange::Renamed { from: &from, to: &after };
            self.fleet.write(&mut tx, change).await?;
            if old.schema != new.schema {
                let note = retired::note_sql(&shared.schema, &old.schema, &new.schema);
                sqlx::raw_sql(note).execute(&mut *tx).await?;
            }
            Ok(())
        };
        let renamed: Result<(), Error> = renamed.await;
        if let Err(error) = renamed {
            return Err(roll_back(tx, error).await.with_tenant_unless_named(&from));
        }
        let committed = self.commit(tx).await;
        // The outcome of a failed commit is unknown, so later lookups read the current state.
        match &committed {
            Ok(()) => self.fleet.retire(&before),
            Err(_) => self.fleet.forget(&from),
        }
        self.fleet.forget(&to);
        committed.map_err(|error| error.with_tenant(&from))
    }

    /// Renames the schema of a tenant, and everything that stores its name as text.
    async fn rename_schema(
        &self,
        tx: &mut TenantTransaction,
        (from, old): (&TenantId, &Ident),
        (to, new): (&TenantId, &Ident),
    ) -> Result<(), Error> {
        self.lock_out(tx, old).await?;
        refuse_extensions_of_all(tx, old).await?;
        let mut sql = Sql::new("set local lock_timeout = '5s'; ");
        rename_sql(&mut sql, old, new);
        let renamed = sqlx::raw_sql(sql.finish()).execute(&mut **tx).await;
        renamed.map_err(|error| named(error, from, to))?;
        self.claim_name(tx, new).await.map_err(|error| error.with_tenant(to))?;
        let mentioned = self.follow_rename(tx, old, new).await?;
        tell(from, &mentioned);
        Ok(())
    }

    /// If tenants see the shared schema, waits for sessions that use a schema and keeps others out until the end of
    /// the transaction: their later lookups would resolve to the shared schema.
    pub(super) async fn lock_out(
        &self,
        conn: &mut PgConnection,
        schema: &Ident,
    ) -> Result<(), Error> {
        self.lock_out_within(conn, schema, "set local lock_timeout = '5s'").await
    }

    /// As [`lock_out`](Self::lock_out), within the limit that this statement sets for the rest of the transaction.
    pub(crate) async fn lock_out_within(
        &self,
        conn: &mut PgConnection,
        schema: &Ident,
        limit: &'static str,
    ) -> Result<(), Error> {
        if !self.fleet.lookup().tenants_see_others() {
            return Ok(());
        }
        let mut begin = Sql::new(limit);
        begin.text("; savepoint locking_out");
        sqlx::raw_sql(begin.finish()).execute(&mut *conn).await?;
        match sqlx::raw_sql(retired::lock_out_sql(schema)).execute(&mut *conn).await {
            Ok(_) => {
                sqlx::raw_sql("release savepoint locking_out").execute(conn).await?;
                Ok(())
            }
            Err(error) if is_lock_timeout(&error) => {
                sqlx::raw_sql("rollback to savepoint locking_out").execute(&mut *conn).await?;
                let who = holders::in_words(conn, Held::Pin(schema)).await;
                let attempted = format!(
                    "another session has a lease or a transaction of it, and would continue in the shared schema{who}"
                );
                Err(Error::new(ErrorKind::Busy, attempted).with_source(error))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn begin_shared(&self) -> Result<TenantTransaction, Error> {
        let shared = self.fleet.shared_site();
        TenantTransaction::open(self.fleet.lease_for(&shared).await?).await
    }
}

/// Refuses to rename a schema with an extension that other schemas use: they refer to it by that name.
async fn refuse_extensions_of_all(conn: &mut PgConnection, schema: &Ident) -> Result<(), Error> {
    let users = inventory::users_of_extensions(conn, schema).await?;
    if users.is_empty() {
        return Ok(());
    }
    let attempted = format!(
        "renaming a tenant: {} outside of its schema uses an extension that is in it; move that with alter \
         extension … set schema",
        users.join(", ")
    );
    Err(Error::new(ErrorKind::Placement, attempted))
}

/// Logs where the old name of a tenant's schema is still mentioned.
fn tell(tenant: &TenantId, mentioned: &[StoredName]) {
    for name in mentioned {
        tracing::warn!(
            target: "tenantry::provision",
            tenant = tenant.as_str(),
            object = name.object,
            place = name.place.as_str(),
            "the former name of the schema is mentioned here, and is not changed"
        );
    }
}

/// Converts the refusal of a rename to an error.
fn named(error: sqlx::Error, from: &TenantId, to: &TenantId) -> Error {
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some("3F000") => {
            let gone = Error::new(ErrorKind::UnknownTenant, "its schema does not exist");
            gone.with_tenant(from).with_source(error)
        }
        _ => taken(error).with_tenant(to),
    }
}

/// Takes the lock of a schema until the end of the transaction, so that it is not migrated meanwhile.
pub(super) async fn lock(tx: &mut TenantTransaction, schema: &Ident) -> Result<(), Error> {
    use sqlx::Row;
    let mut sql = Sql::new("select ");
    try_lock(&mut sql, "pg_catalog.pg_try_advisory_xact_lock", schema);
    let row = sqlx::raw_sql(sql.finish()).fetch_one(&mut **tx).await?;
    match row.try_get(0)? {
        true => Ok(()),
        false => Err(busy(&holders::in_words(tx, Held::lock_of(schema)).await)),
    }
}
