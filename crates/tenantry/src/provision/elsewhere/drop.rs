//! Drops a tenant elsewhere, in steps that another process can continue.

use sqlx::{Connection, PgConnection};

use super::{
    super::{
        DropOptions, DropReport, Provisioner, TableRows,
        commit::roll_back,
        drop::drop_everything,
        inventory, provisional,
        retired::{self, KeyThen},
        step::{self, Step},
        written::rename_sql,
    },
    create::token,
    database, schema,
};
use crate::{
    catalog::{CatalogChange, Site},
    error::{Error, ErrorKind},
    sql::Sql,
    tenant::{Ident, TenantRecord},
};

/// What was dropped.
#[derive(Debug, Default)]
struct Dropped {
    objects: Vec<String>,
    outside: Vec<String>,
    rows: Vec<TableRows>,
    transactions: usize,
}

impl Provisioner {
    /// Drops a tenant whose container is not in the manager's database.
    ///
    /// The catalog records first that it is being dropped, and the OID of its database or schema. So another attempt
    /// after an interruption removes the same container, and no later one of its name.
    pub(in crate::provision) async fn drop_elsewhere(
        &self,
        record: &TenantRecord,
        site: &Site,
        options: &DropOptions,
    ) -> Result<DropReport, Error> {
        self.refuse_when_shared(record, site).await?;
        let dropped = match options.dry_run {
            true => self.look_elsewhere(site, options).await?,
            false => self.drop_in_steps(record, site, options).await?,
        };
        Ok(DropReport {
            server: site.server(),
            database: site.home.database().map(|name| name.as_str().into()),
            objects: dropped.objects,
            outside: dropped.outside,
            rows: dropped.rows,
            transactions: dropped.transactions,
            ..DropReport::new(record.id.clone(), site, options.dry_run)
        })
    }

    async fn look_elsewhere(&self, site: &Site, options: &DropOptions) -> Result<Dropped, Error> {
        let there = self.at(&site.home);
        if let Some(of) = &site.rows {
            let (rows, transactions) = there.count_rows(site, of, options).await?;
            return Ok(Dropped { rows, transactions, ..Dropped::default() });
        }
        if self.container_of(site).await?.is_none() {
            return Ok(Dropped::default());
        }
        let inventory =
            inventory::read(&mut *there.fleet.lease_for(site).await?, &site.schema).await?;
        let (objects, outside) = (inventory.objects, inventory.outside);
        Ok(Dropped { objects, outside, ..Dropped::default() })
    }

    async fn drop_in_steps(
        &self,
        record: &TenantRecord,
        site: &Site,
        options: &DropOptions,
    ) -> Result<Dropped, Error> {
        let container = match step::Elsewhere::of(record) {
            Some(step::Elsewhere::Making(_) | step::Elsewhere::Undoing(_)) => {
                self.undo_elsewhere(record, site).await?;
                return Ok(Dropped { transactions: 1, ..Dropped::default() });
            }
            Some(step::Elsewhere::Dropping(oid)) => oid,
            None => self.container_of(site).await?,
        };
        let found = match (container, record.step.is_some()) {
            (Some(_), false) => self.look_elsewhere(site, options).await?,
            _ => Dropped::default(),
        };
        refuse_outside(&found.outside, options)?;
        if let Some(name) = site.home.database() {
            self.refuse_servers_own(site, name).await?;
        }
        let _forget = self.fleet.forget_after(vec![record.id.clone()]);
        let there = self.at(&site.home);
        let _gate = there.fleet.server().close_gate(&record.id);
        self.begin_drop(record, container).await?;
        self.fleet.retire(record);
        let (rows, transactions) = self.remove_recorded(site, container, options).await.map_err(|error| {
            let left = "the tenant is no longer served, but not everything of it is removed: drop it again";
            Error::new(error.kind(), left).with_source(error)
        })?;
        self.unlist(record).await?;
        self.fleet.retire(record);
        Ok(Dropped { rows, transactions: transactions + 2, ..found })
    }

    /// Records the drop, so that no process serves the tenant any longer, whenever this one ends.
    async fn begin_drop(&self, record: &TenantRecord, container: Option<u32>) -> Result<(), Error> {
        let step = Step::dropping(container, token());
        let (tenant, from) = (&record.id, record.step.as_deref());
        let mut tx = self.begin_shared().await?;
        if !self.fleet.keeps_steps(&mut tx).await? {
            let attempted = "dropping a tenant outside the manager's database takes several steps, which the catalog must \
                             be able to record, as TableCatalog does";
            return Err(roll_back(tx, Error::new(ErrorKind::Config, attempted)).await);
        }
        let change = CatalogChange::Dropping { tenant, from, to: step.as_str() };
        match self.fleet.write(&mut tx, change).await {
            Ok(()) => self.commit(tx).await,
            Err(error) => Err(roll_back(tx, error).await),
        }
    }

    /// Returns the OID of a tenant's database or schema, if it has one and it exists.
    async fn container_of(&self, site: &Site) -> Result<Option<u32>, Error> {
        let mut lease = self.fleet.at(&site.home.of_server()).lease().await?;
        match (site.home.database(), &site.rows) {
            (Some(name), _) => Ok(database::find(&mut lease, name).await?.map(|found| found.oid)),
            (None, None) => schema::oid_of(&mut lease, &site.schema).await,
            (None, Some(_)) => Ok(None),
        }
    }

    /// Removes the container that was recorded, unless it is gone.
    async fn remove_recorded(
        &self,
        site: &Site,
        container: Option<u32>,
        options: &DropOptions,
    ) -> Result<(Vec<TableRows>, usize), Error> {
        let there = self.at(&site.home);
        if let Some(of) = &site.rows {
            return there.delete_rows(site, of, options, KeyThen::Reserved).await;
        }
        let Some(oid) = container else { return Ok((Vec::new(), 0)) };
        match site.home.database() {
            Some(_) => self.remove_database_of(site, oid).await?,
            None => return there.remove_schema_of(site, oid, options).await,
        }
        Ok((Vec::new(), 1))
    }

    async fn remove_database_of(&self, site: &Site, oid: u32) -> Result<(), Error> {
        let mut lease = self.fleet.at(&site.home.of_server()).lease().await?;
        match database::name_of(&mut lease, oid).await? {
            Some(name) => self.drop_database(site, &mut lease, &name).await,
            None => Ok(()),
        }
    }

    /// Gives a schema a provisional name, and drops it in batches. This provisioner works in its database.
    async fn remove_schema_of(
        &self,
        site: &Site,
        oid: u32,
        options: &DropOptions,
    ) -> Result<(Vec<TableRows>, usize), Error> {
        let mut lease = self.lock(site).await?;
        let removed = self.remove_schema_locked(&mut lease, site, oid, options).await;
        lease.settle().await;
        removed.map(|transactions| (Vec::new(), transactions))
    }

    async fn remove_schema_locked(
        &self,
        conn: &mut PgConnection,
        site: &Site,
        oid: u32,
        options: &DropOptions,
    ) -> Result<usize, Error> {
        let Some(name) = schema::name_of(conn, oid).await? else { return Ok(0) };
        let nobodys = match name == site.schema {
            true => self.take_schema_away(conn, site).await?,
            false => name,
        };
        drop_everything(conn, &self.fleet.site_of(&nobodys), options).await.map(|done| done + 1)
    }

    /// Renames the schema, so that it is gone for every session at once. Its name is reserved for a while.
    async fn take_schema_away(&self, conn: &mut PgConnection, site: &Site) -> Result<Ident, Error> {
        let shared = self.fleet.shared_site().schema;
        schema::ensure(conn, &shared).await?;
        retired::ensure_table(conn, &shared).await?;
        let nobodys = provisional::new_name();
        let mut tx = conn.begin().await?;
        self.lock_out(&mut tx, &site.schema).await?;
        let mut sql = Sql::new("set local lock_timeout = '5s'; ");
        rename_sql(&mut sql, &site.schema, &nobodys);
        sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
        sqlx::raw_sql(retired::note_sql(&shared, &site.schema, &nobodys)).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(nobodys)
    }

    /// Refuses to drop the database in the URL of a server, whatever the catalog says.
    async fn refuse_servers_own(&self, site: &Site, name: &Ident) -> Result<(), Error> {
        let mut lease = self.fleet.at(&site.home.of_server()).lease().await?;
        if !database::is_protected(&mut lease, name).await? {
            return Ok(());
        }
        let attempted = format!(
            "its database {name} is a template or the one in the URL of server {}, and is not dropped",
            site.home.server()
        );
        Err(Error::new(ErrorKind::Placement, attempted))
    }
}

fn refuse_outside(outside: &[String], options: &DropOptions) -> Result<(), Error> {
    if outside.is_empty() || options.cascade {
        return Ok(());
    }
    let attempted = format!(
        "dropping a tenant: {} outside of its schema depends on it; drop that first, or set cascade",
        outside.join(", ")
    );
    Err(Error::new(ErrorKind::Database, attempted))
}
