//! Drops tenants, in transactions small enough for the server's lock table.

use sqlx::{Connection, PgConnection, Row, SqlStr};
use tokio::time::Instant;

use super::{
    DropOptions, DropReport, Provisioner, StoredName,
    answer::{busy, has_code},
    commit::TransactionNumber,
    holders::{self, Held, name_holders},
    inventory::{self, Inventory},
    patience::patiently,
    provisional, retired,
    written::{rename_sql, users_outside},
};
use crate::{
    catalog::{CatalogChange, Site},
    error::{Error, ErrorKind},
    migrate::{set_limits, try_lock},
    pool::Lease,
    sql::Sql,
    tenant::{ParseTenantIdError, TenantId, TenantRecord},
};

/// The result of a drop.
#[derive(Debug)]
pub(super) struct Dropped {
    inventory: Inventory,
    transactions: usize,
}

impl Provisioner {
    /// Permanently drops a tenant with all its data. The caller passes the id twice; the second one is the user's
    /// confirmation.
    ///
    /// One transaction deletes the tenant's row and renames its schema to a name that no tenant has: from then on the
    /// tenant is gone for every session. The objects of the schema are then dropped in batches, and finally the
    /// schema itself. [`fill_spares`](Self::fill_spares), also with 0 spares, removes what an interrupted drop has
    /// left.
    ///
    /// Existing handles are refused with [`StaleHandle`](ErrorKind::StaleHandle), immediately in this process and
    /// within 5 s in others; open transactions and leases no longer find tables. If [tenants see the shared
    /// schema](crate::ManagerBuilder::tenants_see_shared), the drop waits up to 5 s for transactions and leases.
    ///
    /// A tenant that is [isolated by row](crate::Isolation::row) is suspended, its rows are deleted in batches from the
    /// tables of all tenants, those that refer to others first, and the catalog's row is the last. An interrupted drop
    /// leaves it suspended, and another one continues. Before it deletes, the drop waits up to 5 s for transactions that
    /// have written to these tables. It never deletes or changes rows of other tenants. The tenant's key is reserved like
    /// the name of a schema, in a table `_tenantry_retired_keys` of the schema with the rows.
    ///
    /// A tenant in a [database](crate::Isolation::database) of its own, or on a
    /// [further server](crate::ManagerBuilder::server), is suspended, and the catalog records the OID of its database or
    /// schema, which is then removed; the row is the last. An interrupted drop leaves the row, and another one
    /// continues. A database is dropped with all sessions in it, for which the role must own it, and be a member of
    /// `pg_signal_backend` if other roles are connected. The database in the URL of a server is never dropped.
    ///
    /// The name of the schema is reserved for a while, see [`NameInUse`](ErrorKind::NameInUse), in a table
    /// `tenantry_retired` of the shared schema, which is created when first needed.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) if the two ids differ; [`UnknownTenant`](ErrorKind::UnknownTenant);
    /// [`Busy`](ErrorKind::Busy) if a migration of the tenant is in progress, or if tenants see the shared schema and
    /// the tenant has open transactions or leases; [`Placement`](ErrorKind::Placement) if another tenant has the same
    /// schema; and [`Database`](ErrorKind::Database) if an object outside the schema depends on it, unless
    /// [`cascade`](DropOptions::cascade) is set, or if a lock could not be acquired. The last one can occur after the
    /// tenant is already gone; the message says so.
    ///
    /// # Cancel safety
    ///
    /// If dropped, the tenant is either unchanged, or gone for every session with objects left to be removed.
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
        confirm(&id, the_same_id_again)?;
        let record = self.fleet.record(&id).await?;
        let site = self.site_of_any(&record)?;
        site.refuse_moving()?;
        if !site.home.is_managers() {
            let dropped = Box::pin(self.drop_elsewhere(&record, &site, &options)).await;
            let report = dropped.map_err(|error| error.with_tenant_unless_named(&id))?;
            return Ok(DropReport { duration: began.elapsed(), ..report });
        }
        if let Some(of) = &site.rows {
            let dropped = match options.dry_run {
                true => self.count_rows(&site, of, &options).await,
                false => self.drop_rows(&record, &site, of, &options).await,
            };
            let (rows, transactions) = dropped.map_err(|error| error.with_tenant(&id))?;
            let report = DropReport::new(id, &site, options.dry_run);
            return Ok(DropReport { rows, transactions, duration: began.elapsed(), ..report });
        }
        let named = self.named_outside(&site, &options).await;
        let named = named.map_err(|error| error.with_tenant(&id))?;
        let dropped = match options.dry_run {
            true => self.look(&site).await,
            false => self.drop_all(&record, &site, &options).await,
        };
        let dropped = dropped.map_err(|error| error.with_tenant(&id))?;
        Ok(DropReport {
            objects: dropped.inventory.objects,
            outside: dropped.inventory.outside,
            named,
            transactions: dropped.transactions,
            duration: began.elapsed(),
            ..DropReport::new(id, &site, options.dry_run)
        })
    }

    /// Finds objects outside that look the schema up by its name, and refuses to drop it because of them, as for
    /// dependent objects.
    async fn named_outside(
        &self,
        site: &Site,
        options: &DropOptions,
    ) -> Result<Vec<StoredName>, Error> {
        let mut lease = self.fleet.lease_for(site).await?;
        let named = users_outside(&mut lease, &site.schema).await?;
        drop(lease);
        if !options.dry_run {
            let named: Vec<_> = named.iter().map(ToString::to_string).collect();
            refuse_outside(&named, options)?;
        }
        Ok(named)
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
        self.refuse_when_shared(record, site).await?;
        let mut lease = self.lock(site).await?;
        retired::ensure_table(&mut lease, &self.fleet.shared_site().schema).await?;
        let dropped = self.drop_locked(&mut lease, record, site, options).await;
        lease.settle().await;
        self.fleet.forget(&record.id);
        dropped
    }

    async fn drop_locked(
        &self,
        conn: &mut PgConnection,
        record: &TenantRecord,
        site: &Site,
        options: &DropOptions,
    ) -> Result<Dropped, Error> {
        let inventory = inventory::read(conn, &site.schema).await?;
        refuse_outside(&inventory.outside, options)?;
        let nobodys = self.fleet.site_of(&provisional::new_name());
        let schema = inventory.exists.then_some(site);
        self.take_away(conn, record, schema, &nobodys, options).await?;
        let mut transactions = 1;
        if inventory.exists {
            let dropped = drop_everything(conn, &nobodys, options).await;
            transactions += dropped.map_err(|error| {
                let left = format!(
                    "the tenant is dropped, but the schema {} still contains objects of it, which the next \
                     fill_spares removes",
                    nobodys.schema
                );
                Error::new(error.kind(), left).with_source(error)
            })?;
        }
        Ok(Dropped { inventory, transactions })
    }

    /// Drops a tenant for every session: deletes its record, and renames its schema, if it exists.
    async fn take_away(
        &self,
        conn: &mut PgConnection,
        record: &TenantRecord,
        site: Option<&Site>,
        to: &Site,
        options: &DropOptions,
    ) -> Result<(), Error> {
        let forget = self.fleet.forget_after(vec![record.id.clone()]);
        let gate = self.fleet.server().close_gate(&record.id);
        let mut tx = conn.begin().await?;
        if let Some(site) = site {
            self.lock_out(&mut tx, &site.schema).await?;
            if let Err(error) = patiently(&mut tx, take_away_sql(site, to, options), options).await
            {
                return Err(name_holders(&mut tx, error, Held::Relations(&site.schema)).await);
            }
        }
        self.fleet.write(&mut tx, CatalogChange::Dropped(&record.id)).await?;
        if let Some(site) = site {
            let shared = self.fleet.shared_site().schema;
            let note = retired::note_sql(&shared, &site.schema, &to.schema);
            sqlx::raw_sql(note).execute(&mut *tx).await?;
        }
        let number = TransactionNumber::of(&mut tx).await?;
        let committed = tx.commit().await;
        self.find_out(&number, committed).await?;
        self.fleet.retire(record);
        drop((forget, gate));
        Ok(())
    }

    /// Refuses to drop a schema that another tenant has, too, as far as the catalog knows.
    pub(super) async fn refuse_when_shared(
        &self,
        record: &TenantRecord,
        site: &Site,
    ) -> Result<(), Error> {
        // A catalog that cannot list does not know.
        match self.sharer(record, site).await.ok().flatten() {
            None => Ok(()),
            Some(other) => {
                let attempted = format!("its container also belongs to tenant {other}");
                Err(Error::new(ErrorKind::Placement, attempted))
            }
        }
    }

    /// Returns another tenant that the catalog places there, too.
    pub(super) async fn sharer(
        &self,
        record: &TenantRecord,
        site: &Site,
    ) -> Result<Option<TenantId>, Error> {
        let others = self.fleet.list().await?;
        let shares = |other: &TenantRecord| {
            let same = self.site_of_any(other).is_ok_and(|other| other.spot() == site.spot());
            same && other.id != record.id
        };
        Ok(others.into_iter().find(|other| shares(other)).map(|other| other.id))
    }

    /// Removes a tenant whose creation failed at the end.
    pub(super) async fn undo(&self, record: &TenantRecord, site: &Site) -> Result<(), Error> {
        let options = DropOptions::default();
        if !site.home.is_managers() {
            return Box::pin(self.undo_elsewhere(record, site)).await;
        }
        match &site.rows {
            None => self.drop_all(record, site, &options).await.map(drop),
            Some(of) => self.drop_rows(record, site, of, &options).await.map(drop),
        }
    }

    /// Drops a schema that does not belong to a tenant, with all its contents. Returns whether it existed.
    pub(crate) async fn drop_schema(
        &self,
        site: &Site,
        options: &DropOptions,
    ) -> Result<bool, Error> {
        let mut lease = self.lock(site).await?;
        let dropped = match inventory::exists(&mut lease, &site.schema).await? {
            true => drop_everything(&mut lease, site, options).await.map(|_| true),
            false => Ok(false),
        };
        lease.settle().await;
        dropped
    }

    /// Takes a lease that holds the lock of a schema.
    pub(super) async fn lock(&self, site: &Site) -> Result<Lease, Error> {
        let mut lease = self.fleet.lease_for(site).await?;
        let mut sql = Sql::new("select ");
        try_lock(&mut sql, "pg_catalog.pg_try_advisory_lock", &site.schema);
        match sqlx::raw_sql(sql.finish()).fetch_one(&mut *lease).await?.try_get(0)? {
            true => Ok(lease),
            false => Err(busy(&holders::in_words(&mut lease, Held::lock_of(&site.schema)).await)),
        }
    }
}

/// Drops a schema with all its contents, in batches. Returns the number of transactions.
///
/// Batches get smaller if the server's lock table is full (53200), because others need space in it, too.
pub(super) async fn drop_everything(
    conn: &mut PgConnection,
    site: &Site,
    options: &DropOptions,
) -> Result<usize, Error> {
    let mut left = inventory::objects(conn, &site.schema).await?.len();
    let (mut transactions, mut batch) = (0, options.objects_per_batch());
    // Objects that are not dropped separately are dropped with the schema.
    let mut stuck = false;
    loop {
        let last = stuck || left <= batch;
        let sql = if last { schema_sql(site, options) } else { batch_sql(site, options, batch) };
        match patiently(conn, sql, options).await {
            Ok(_) if last => return Ok(transactions + 1),
            Ok(_) => {
                transactions += 1;
                let now = inventory::objects(conn, &site.schema).await?.len();
                stuck = now >= left;
                left = now;
            }
            Err(error) if has_code(&error, "53200") && !stuck && batch.min(left) > 1 => {
                batch = batch.min(left) / 2;
            }
            Err(error) => {
                return Err(name_holders(conn, error, Held::Relations(&site.schema)).await);
            }
        }
    }
}

/// Refuses to drop a tenant if the second id differs.
fn confirm(id: &TenantId, the_same_id_again: &str) -> Result<(), Error> {
    if id.as_str() == the_same_id_again {
        return Ok(());
    }
    let attempted = format!(
        "dropping a tenant: its id is {id}, but the second id is {the_same_id_again:?}; nothing was dropped: pass the \
         id of the tenant to drop twice"
    );
    Err(Error::new(ErrorKind::Config, attempted).with_tenant(id))
}

fn refuse_outside(outside: &[String], options: &DropOptions) -> Result<(), Error> {
    match outside {
        [] => Ok(()),
        _ if options.cascade => Ok(()),
        _ => {
            let attempted = format!(
                "dropping a tenant: {} outside of its schema depends on it; drop that first, or set cascade",
                outside.join(", ")
            );
            Err(Error::new(ErrorKind::Database, attempted))
        }
    }
}

/// Renames a schema, and takes the lock of the new name, so that it is not mistaken for an abandoned schema.
fn take_away_sql(site: &Site, to: &Site, options: &DropOptions) -> SqlStr {
    let mut sql = Sql::default();
    set_limits(&mut sql, "set local ", options.lock_timeout, None);
    sql.text("select ");
    try_lock(&mut sql, "pg_catalog.pg_try_advisory_lock", &to.schema);
    sql.text("; ");
    rename_sql(&mut sql, &site.schema, &to.schema);
    sql.finish()
}

/// Drops some objects of a schema. The server assembles the statement from its own names, which it quotes itself.
///
/// Partitions come before their partitioned tables, whose drop would include all of them at once, and tables before
/// those that their foreign keys refer to, for the same reason. Objects that belong to another one are dropped with
/// it.
fn batch_sql(site: &Site, options: &DropOptions, batch: usize) -> SqlStr {
    let mut body = Sql::new(
        "declare object pg_catalog.record; begin \
         for object in \
           select i.type, i.identity from pg_catalog.pg_namespace n \
           join pg_catalog.pg_depend d on d.refobjid operator(pg_catalog.=) n.oid \
             and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
             and d.deptype operator(pg_catalog.=) 'n' \
           cross join lateral pg_catalog.pg_identify_object(d.classid, d.objid, 0) i \
           left join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) d.objid \
             and d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
           where n.nspname operator(pg_catalog.=) ",
    );
    body.literal(site.schema.as_str()).text(
        " and i.type operator(pg_catalog.=) any (array['table', 'view', 'materialized view', \
             'foreign table', 'sequence', 'function', 'procedure', 'aggregate', 'type', \
             'extension']) \
           and not exists ( \
             select from pg_catalog.pg_depend o \
             where o.classid operator(pg_catalog.=) d.classid and o.objid operator(pg_catalog.=) d.objid \
               and o.deptype operator(pg_catalog.=) any (array['i', 'e']::pg_catalog.\"char\"[])) \
           order by coalesce(c.relispartition, false) desc, \
             i.type operator(pg_catalog.<>) 'table', \
             (select pg_catalog.count(*) from pg_catalog.pg_depend f \
               where f.refclassid operator(pg_catalog.=) d.classid and f.refobjid operator(pg_catalog.=) d.objid \
                 and f.classid operator(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass \
                 and f.deptype operator(pg_catalog.=) 'n'), \
             i.identity limit ",
    );
    body.number(batch as u64).text(
        " loop \
           execute pg_catalog.format('drop %s if exists %s cascade', object.type, object.identity); \
         end loop; end",
    );
    let mut sql = Sql::default();
    set_limits(&mut sql, "set local ", options.lock_timeout, None);
    sql.text("do ").literal(body.as_str());
    sql.finish()
}

fn schema_sql(site: &Site, options: &DropOptions) -> SqlStr {
    let mut sql = Sql::default();
    set_limits(&mut sql, "set local ", options.lock_timeout, None);
    sql.text("drop schema if exists ").ident(&site.schema).text(" cascade");
    sql.finish()
}
