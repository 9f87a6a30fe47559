//! Suspends, resumes and renames tenants.

use sqlx::PgConnection;

use super::{
    Provisioner, StoredName,
    create::{roll_back, taken},
    in_parts::refuse_unfinished,
    inventory, retired,
    written::rename_sql,
};
use crate::{
    catalog::CatalogChange,
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::try_lock,
    sql::Sql,
    tenant::{Ident, ParseTenantIdError, TenantId, TenantRecord, TenantState},
};

impl Provisioner {
    /// Refuses the requests of a tenant from now on. Its data stays, and it is still migrated.
    ///
    /// Other processes hear of it at once where the catalog announces changes, as
    /// [`TableCatalog`](crate::TableCatalog) does; handles that exist stay usable.
    ///
    /// # Errors
    ///
    /// [`UnknownTenant`](ErrorKind::UnknownTenant); [`Catalog`](ErrorKind::Catalog) when the catalog cannot
    /// be written, such as one that finds tenants by their schemas.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the tenant may be suspended or not.
    pub async fn suspend<I>(&self, id: I) -> Result<(), Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        self.set_state(id.try_into().map_err(Into::into)?, TenantState::Suspended).await
    }

    /// Serves a tenant again.
    ///
    /// # Errors
    ///
    /// As [`suspend`](Self::suspend).
    ///
    /// # Cancel safety
    ///
    /// When dropped, the tenant may be suspended or not.
    pub async fn resume<I>(&self, id: I) -> Result<(), Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        self.set_state(id.try_into().map_err(Into::into)?, TenantState::Active).await
    }

    async fn set_state(&self, id: TenantId, state: TenantState) -> Result<(), Error> {
        refuse_unfinished(&self.fleet.record(&id).await?)?;
        // Nobody knows what has come of a commit that failed, or was given up.
        let _forget = self.fleet.forget_after(vec![id.clone()]);
        let mut tx = self.begin_shared().await?;
        self.fleet.write(&mut tx, CatalogChange::State(&id, state)).await?;
        self.commit(tx).await.map_err(|error| error.with_tenant(&id))?;
        self.fleet.forget(&id);
        Ok(())
    }

    /// Gives a tenant another id, and its schema the name that goes with it, unless the catalog has a
    /// schema of its own on record for it.
    ///
    /// Requests of the tenant wait meanwhile. Statements that run are not disturbed; transactions and
    /// leases find no tables any more, and handles that exist are refused as
    /// [`StaleHandle`](ErrorKind::StaleHandle), in this process at once, in others at most 5 s later. Where
    /// [tenants see the shared schema](crate::ManagerBuilder::tenants_see_shared), transactions and leases
    /// are waited for.
    ///
    /// What holds the old name as text does not follow a rename by itself, and would lead to the next tenant
    /// of that name. So it is looked for in the same transaction: the `search_path` of functions, and of roles
    /// and the database, is changed; anything else that means the schema, such as `acme.users` in the body of
    /// a function or in a literal, is an error. A mere mention, such as a comment, is logged as a warning.
    ///
    /// The old name is kept back for a while, see [`NameInUse`](ErrorKind::NameInUse), in a table
    /// `tenantry_retired` of the shared schema.
    ///
    /// # Errors
    ///
    /// [`UnknownTenant`](ErrorKind::UnknownTenant); [`TenantExists`](ErrorKind::TenantExists) when there is
    /// a tenant of the new id, or its schema; [`NameInUse`](ErrorKind::NameInUse) when there was one until
    /// a moment ago; [`StoredName`](ErrorKind::StoredName) when something holds the old name as text and
    /// cannot be changed; [`Placement`](ErrorKind::Placement) when the schema holds an extension that is used
    /// outside of it; [`Busy`](ErrorKind::Busy) when somebody is migrating the
    /// tenant, or is at work on it where tenants see the shared schema; [`Catalog`](ErrorKind::Catalog) when the catalog cannot be written.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the tenant has one id or the other, and its schema the name that goes with it. Until the server has
    /// ended what was begun, another attempt is [`Busy`](ErrorKind::Busy).
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
        let after = TenantRecord { id: to.clone(), ..before.clone() };
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
                self.lock_out(&mut tx, &old.schema).await?;
                refuse_extensions_of_all(&mut tx, &old.schema).await?;
                let mut sql = Sql::new("set local lock_timeout = '5s'; ");
                rename_sql(&mut sql, &old.schema, &new.schema);
                let renamed = sqlx::raw_sql(sql.finish()).execute(&mut *tx).await;
                renamed.map_err(|error| named(error, &from, &to))?;
                let claimed = self.claim_name(&mut tx, &new.schema).await;
                claimed.map_err(|error| error.with_tenant(&to))?;
                let mentioned = self.follow_rename(&mut tx, &old.schema, &new.schema).await?;
                tell(&from, &mentioned);
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
        // Nobody knows what has come of a commit that failed: whoever asks is told what is true.
        match &committed {
            Ok(()) => self.fleet.retire(&from),
            Err(_) => self.fleet.forget(&from),
        }
        self.fleet.forget(&to);
        committed.map_err(|error| error.with_tenant(&from))
    }

    /// Where tenants see the shared schema, waits for those who are at work on a schema and keeps others
    /// out until the end of the transaction: what they look up afterwards they would find in the shared
    /// schema.
    pub(super) async fn lock_out(
        &self,
        conn: &mut PgConnection,
        schema: &Ident,
    ) -> Result<(), Error> {
        if !self.fleet.lookup().tenants_see_others() {
            return Ok(());
        }
        sqlx::raw_sql("set local lock_timeout = '5s'").execute(&mut *conn).await?;
        match sqlx::raw_sql(retired::lock_out_sql(schema)).execute(conn).await {
            Ok(_) => Ok(()),
            Err(error) if is_lock_timeout(&error) => {
                let attempted = "somebody has a lease or a transaction of it, and would go on in the \
                                 shared schema";
                Err(Error::new(ErrorKind::Busy, attempted).with_source(error))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn begin_shared(&self) -> Result<TenantTransaction, Error> {
        let shared = self.fleet.shared_site();
        TenantTransaction::open(self.fleet.lease_for(&shared).await?).await
    }
}

/// Refuses to rename a schema with an extension in it that other schemas use: they find it by that name.
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

/// Tells where the old name of a tenant's schema is still mentioned.
fn tell(tenant: &TenantId, mentioned: &[StoredName]) {
    for name in mentioned {
        tracing::warn!(
            target: "tenantry::provision",
            tenant = tenant.as_str(),
            object = name.object,
            place = name.place.as_str(),
            "the former name of the schema is mentioned here, and stays"
        );
    }
}

/// Makes an error of a rename that was refused.
fn named(error: sqlx::Error, from: &TenantId, to: &TenantId) -> Error {
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some("3F000") => {
            let gone = Error::new(ErrorKind::UnknownTenant, "its schema is not there");
            gone.with_tenant(from).with_source(error)
        }
        _ => taken(error).with_tenant(to),
    }
}

/// Takes the lock of a schema until the end of the transaction, so that nobody migrates it meanwhile.
pub(super) async fn lock(tx: &mut TenantTransaction, schema: &Ident) -> Result<(), Error> {
    use sqlx::Row;
    let mut sql = Sql::new("select ");
    try_lock(&mut sql, "pg_catalog.pg_try_advisory_xact_lock", schema);
    let row = sqlx::raw_sql(sql.finish()).fetch_one(&mut **tx).await?;
    match row.try_get(0)? {
        true => Ok(()),
        false => Err(busy()),
    }
}

/// Says whether a lock could not be had in time.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("55P03")
}

pub(super) fn busy() -> Error {
    Error::new(ErrorKind::Busy, "somebody is migrating, renaming or dropping it")
}
