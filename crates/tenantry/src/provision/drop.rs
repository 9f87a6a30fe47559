//! Drops tenants, in transactions that are small enough for the server's lock table.

use sqlx::{Connection, PgConnection, Row, SqlStr};
use tokio::time::{Instant, sleep};

use super::{
    DropOptions, DropReport, Provisioner,
    inventory::{self, Inventory},
    states::busy,
};
use crate::{
    catalog::{CatalogChange, Site},
    error::{Error, ErrorKind},
    migrate::{set_limits, try_lock},
    pool::Lease,
    retry::chance,
    sql::Sql,
    tenant::{ParseTenantIdError, TenantId, TenantRecord, TenantState},
};

/// What a drop has come to.
#[derive(Debug)]
pub(super) struct Dropped {
    inventory: Inventory,
    transactions: usize,
}

impl Provisioner {
    /// Drops a tenant with all its data, for good. Its id has to be given twice, the second time by whoever
    /// wants it.
    ///
    /// Requests are refused first, where the catalog has a place for that. Then the schema's objects are
    /// dropped in batches, and at the end the schema itself, in one transaction with the tenant's row. A
    /// drop that was interrupted is finished by calling it again.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) when the two ids differ, [`UnknownTenant`](ErrorKind::UnknownTenant),
    /// [`Busy`](ErrorKind::Busy) when somebody is migrating the tenant, and
    /// [`Database`](ErrorKind::Database) when something outside the schema depends on it, unless
    /// [that may go](DropOptions::cascade), or when a lock was not to be had.
    ///
    /// # Cancel safety
    ///
    /// When dropped, a part of the tenant may be gone; call it again.
    pub async fn drop_tenant<I>(
        &self,
        id: I,
        the_same_id_again: &str,
        options: DropOptions,
    ) -> Result<DropReport, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let began = Instant::now();
        let id = id.try_into().map_err(Into::into)?;
        options.check()?;
        if id.as_str() != the_same_id_again {
            let attempted = "dropping a tenant: the second id is not that of the tenant";
            return Err(Error::new(ErrorKind::Config, attempted).with_tenant(&id));
        }
        let record = self.fleet.record(&id).await?;
        let site = self.fleet.site(&record)?;
        let dropped = match options.dry_run {
            true => self.look(&site).await,
            false => self.drop_all(&record, &site, &options).await,
        };
        let dropped = dropped.map_err(|error| error.with_tenant(&id))?;
        Ok(DropReport {
            schema: site.schema.as_str().into(),
            dry_run: options.dry_run,
            objects: dropped.inventory.objects,
            outside: dropped.inventory.outside,
            transactions: dropped.transactions,
            duration: began.elapsed(),
            tenant_id: id,
        })
    }

    async fn look(&self, site: &Site) -> Result<Dropped, Error> {
        let mut lease = self.fleet.lease_for(site).await?;
        let inventory = inventory::read(&mut lease, &site.schema).await?;
        Ok(Dropped { inventory, transactions: 0 })
    }

    async fn drop_all(
        &self,
        record: &TenantRecord,
        site: &Site,
        options: &DropOptions,
    ) -> Result<Dropped, Error> {
        let mut lease = self.lock(site).await?;
        let dropped = self.drop_locked(&mut lease, record, site, options).await;
        lease.settle().await;
        self.fleet.forget(&record.id).await;
        dropped
    }

    async fn drop_locked(
        &self,
        lease: &mut PgConnection,
        record: &TenantRecord,
        site: &Site,
        options: &DropOptions,
    ) -> Result<Dropped, Error> {
        let inventory = inventory::read(lease, &site.schema).await?;
        refuse_outside(&inventory.outside, options)?;
        self.stop_serving(lease, &record.id).await?;
        let batches = drop_in_batches(lease, site, &inventory, options).await?;
        let mut tx = lease.begin().await?;
        patiently(&mut tx, schema_sql(site, options), options).await?;
        self.fleet.write(&mut tx, CatalogChange::Dropped(&record.id)).await?;
        tx.commit().await?;
        Ok(Dropped { inventory, transactions: batches + 1 })
    }

    /// Takes back a tenant whose creation has failed at the end.
    pub(super) async fn undo(&self, record: &TenantRecord, site: &Site) -> Result<(), Error> {
        self.drop_all(record, site, &DropOptions::default()).await.map(drop)
    }

    /// Refuses requests from now on, where the catalog has a place to note that.
    async fn stop_serving(&self, conn: &mut PgConnection, id: &TenantId) -> Result<(), Error> {
        let mut tx = conn.begin().await?;
        let change = CatalogChange::State(id, TenantState::Suspended);
        match self.fleet.write(&mut tx, change).await {
            Ok(()) => tx.commit().await?,
            Err(error) if error.kind() == ErrorKind::Catalog => {}
            Err(error) => return Err(error),
        }
        self.fleet.forget(id).await;
        Ok(())
    }

    /// Drops a schema that is no tenant's, with everything in it.
    pub(super) async fn drop_schema(
        &self,
        site: &Site,
        options: &DropOptions,
    ) -> Result<(), Error> {
        let mut lease = self.lock(site).await?;
        let inventory = inventory::read(&mut lease, &site.schema).await?;
        drop_in_batches(&mut lease, site, &inventory, options).await?;
        let dropped = patiently(&mut lease, schema_sql(site, options), options).await;
        lease.settle().await;
        dropped
    }

    /// Takes a lease that has the lock of a schema.
    async fn lock(&self, site: &Site) -> Result<Lease, Error> {
        let mut lease = self.fleet.lease_for(site).await?;
        let mut sql = Sql::new("select ");
        try_lock(&mut sql, "pg_catalog.pg_try_advisory_lock", &site.schema);
        match sqlx::raw_sql(sql.finish()).fetch_one(&mut *lease).await?.try_get(0)? {
            true => Ok(lease),
            false => Err(busy()),
        }
    }
}

/// Drops the objects of a schema until so few are left that they can go with it. Returns how many
/// transactions that took.
async fn drop_in_batches(
    conn: &mut PgConnection,
    site: &Site,
    inventory: &Inventory,
    options: &DropOptions,
) -> Result<usize, Error> {
    let (mut left, mut batches) = (inventory.objects.len(), 0);
    while left > options.batch {
        patiently(conn, batch_sql(site, options), options).await?;
        batches += 1;
        let now = inventory::read(conn, &site.schema).await?.objects.len();
        if now >= left {
            // What is left is of a kind that is not dropped by itself: the schema takes it along.
            break;
        }
        left = now;
    }
    Ok(batches)
}

fn refuse_outside(outside: &[String], options: &DropOptions) -> Result<(), Error> {
    match outside {
        [] => Ok(()),
        _ if options.cascade => Ok(()),
        _ => {
            let attempted = format!(
                "dropping a tenant: {} outside of its schema depends on it; drop that first, or cascade",
                outside.join(", ")
            );
            Err(Error::new(ErrorKind::Database, attempted))
        }
    }
}

/// Runs a statement, and again when a lock was not to be had. In a transaction it has a savepoint.
async fn patiently(
    conn: &mut PgConnection,
    sql: SqlStr,
    options: &DropOptions,
) -> Result<(), Error> {
    let mut failed = 0;
    loop {
        let mut attempt = conn.begin().await?;
        let done = sqlx::raw_sql(sql.clone()).execute(&mut *attempt).await;
        let ended = match &done {
            Ok(_) => attempt.commit().await,
            Err(_) => attempt.rollback().await,
        };
        let Err(error) = done.and(ended) else { return Ok(()) };
        failed += 1;
        let code = error.as_database_error().and_then(|error| error.code());
        let passing = matches!(code.as_deref(), Some("55P03" | "40P01"));
        match options.retry.delay_after(failed, chance(), None).filter(|_| passing) {
            Some(delay) => sleep(delay).await,
            None => return Err(error.into()),
        }
    }
}

/// Drops some objects of a schema. The server puts the names together: they are its own, quoted by
/// itself.
///
/// Partitions go before what they are partitions of, which would take all of them along at once.
fn batch_sql(site: &Site, options: &DropOptions) -> SqlStr {
    let mut sql = Sql::default();
    set_limits(&mut sql, "set local ", options.lock_timeout, None);
    sql.text(
        "do $drop$ declare object record; begin \
         for object in \
           select i.type, i.identity from pg_catalog.pg_namespace n \
           join pg_catalog.pg_depend d on d.refobjid = n.oid \
             and d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass \
             and d.deptype = 'n' \
           cross join lateral pg_catalog.pg_identify_object(d.classid, d.objid, 0) i \
           left join pg_catalog.pg_class c on c.oid = d.objid \
             and d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
           where n.oid = pg_catalog.to_regnamespace(pg_catalog.quote_ident(",
    );
    sql.literal(site.schema.as_str()).text(
        ")) and i.type in ('table', 'view', 'materialized view', 'foreign table', 'sequence', \
             'function', 'procedure', 'aggregate', 'type') \
           order by coalesce(c.relispartition, false) desc, i.type <> 'table', i.identity limit ",
    );
    sql.number(options.batch as u64).text(
        " loop \
           execute pg_catalog.format('drop %s if exists %s cascade', object.type, object.identity); \
         end loop; end $drop$",
    );
    sql.finish()
}

fn schema_sql(site: &Site, options: &DropOptions) -> SqlStr {
    let mut sql = Sql::default();
    set_limits(&mut sql, "set local ", options.lock_timeout, None);
    sql.text("drop schema if exists ").ident(&site.schema).text(" cascade");
    sql.finish()
}
