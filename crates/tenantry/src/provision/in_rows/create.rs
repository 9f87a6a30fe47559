//! Creates a tenant that is isolated by row: its row in the catalog, and its seeds.

use std::sync::Arc;

use sqlx::{PgConnection, Row};

use super::{
    super::{
        CreateOptions, Provisioner,
        commit::roll_back,
        elsewhere::refuse_elsewhere,
        made::limit_locks,
        new_tenant::{New, Seeds},
        retired::claim_key,
    },
    drop::lock,
    tables::{self, Table},
};
use crate::{
    catalog::{CatalogChange, RowsOfTenant, Site},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    fleet::Fleet,
    seed::ensure_table,
    sql::Sql,
    tenant::{TenantId, TenantRecord},
};

impl Provisioner {
    /// Returns the site of a tenant to be created, if the options suit how it is isolated.
    pub(in crate::provision) fn site_of_new(
        &self,
        record: &TenantRecord,
        options: &CreateOptions,
    ) -> Result<Site, Error> {
        let there = self.fleet.at_tenant(record)?;
        if !there.home().is_managers() {
            refuse_elsewhere(options, record)?;
        }
        refuse_options_of_databases(record, &there, options)?;
        if !self.fleet.is_in_rows(record) {
            return there.site(record);
        }
        if let Some(wrong) = self.why_not_in_rows(options) {
            let attempted = format!("creating a tenant that is isolated by row: {wrong}");
            return Err(Error::new(ErrorKind::Config, attempted).with_tenant(&record.id));
        }
        there.site_of_rows(record)
    }

    /// Returns the record and the site of a tenant that a copy of another one's rows becomes, in one transaction.
    pub(super) async fn new_of_copy(
        &self,
        id: &TenantId,
        create: &CreateOptions,
    ) -> Result<(TenantRecord, Site), Error> {
        let record = self.record_of_new(id, create).await?;
        let site = self.site_of_new(&record, create)?;
        if !site.home.is_managers() {
            let attempted = "a copy of rows becomes a new tenant where the catalog is, in one transaction with it: create \
                             the tenant on its server first, and restore the rows there";
            return Err(Error::new(ErrorKind::Placement, attempted));
        }
        match self.fleet.record(id).await {
            Err(error) if error.kind() == ErrorKind::UnknownTenant => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(Error::new(ErrorKind::TenantExists, "the catalog lists it")),
        }
        let record = self.with_key_on_record(record, &site).await?;
        self.refuse_retired_key(&site).await?;
        self.refuse_missing_role(self.fleet.role_of(&site).await?.as_ref()).await?;
        Ok((record, site))
    }

    fn why_not_in_rows(&self, options: &CreateOptions) -> Option<&'static str> {
        if options.container.is_some() {
            return Some("it has no schema of its own, so there is no container to name");
        }
        if options.from_template {
            return Some("templates are schemas, and it has none");
        }
        if options.keep_failed {
            return Some("a failed creation is rolled back, so there is nothing to keep");
        }
        if self.fleet.lookup().finds_schemas() {
            return Some(
                "the catalog lists schemas, and it has none: list the tenants in a TableCatalog",
            );
        }
        let is_read_only = !self.fleet.lookup().lists_new();
        is_read_only.then_some(
            "it is only a row in the catalog, which is read-only: add the tenant there, and seed it with a Seeder",
        )
    }

    /// Returns the site of a tenant, however it is isolated.
    pub(in crate::provision) fn site_of_any(&self, record: &TenantRecord) -> Result<Site, Error> {
        let there = self.fleet.at_tenant(record)?;
        match there.is_in_rows(record) {
            true => there.site_of_rows(record),
            false => there.site(record),
        }
    }
}

/// Refuses options that only a tenant in a database of its own can have.
fn refuse_options_of_databases(
    record: &TenantRecord,
    there: &Fleet,
    options: &CreateOptions,
) -> Result<(), Error> {
    let is_given = options.database.is_some() || options.database_template.is_some();
    if !is_given || there.home().database().is_some() {
        return Ok(());
    }
    let attempted =
        "creating a tenant: database and database_template need the isolation `database`";
    Err(Error::new(ErrorKind::Config, attempted).with_tenant(&record.id))
}

impl New<'_> {
    /// Creates the tenant in one transaction, except for the seeds that run outside one.
    pub(in crate::provision) async fn in_rows(&self, of: &RowsOfTenant) -> Result<Seeds, Error> {
        let Self { provisioner, record, site, .. } = self;
        match provisioner.fleet.record(&record.id).await {
            Err(error) if error.kind() == ErrorKind::UnknownTenant => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(Error::new(ErrorKind::TenantExists, "the catalog lists it")),
        }
        let mut lease = provisioner.fleet.lease_for(site).await?;
        ensure_table(&mut lease, site).await?;
        let mut tx = TenantTransaction::open(lease).await?;
        match self.fill_rows(of, &mut tx).await {
            Ok(seeds) => provisioner.commit(tx).await.map(|()| seeds),
            Err(error) => Err(roll_back(tx, error).await),
        }
    }

    async fn fill_rows(
        &self,
        of: &RowsOfTenant,
        tx: &mut TenantTransaction,
    ) -> Result<Seeds, Error> {
        let Self { provisioner, record, site, .. } = self;
        self.prepare_rows(of, tx).await?;
        provisioner.fleet.write(tx, CatalogChange::Created(record)).await?;
        self.seed(site, tx).await
    }

    /// Takes the lock of the tenant's rows, checks that there are tables, and no rows yet, and claims the key.
    pub(in crate::provision) async fn prepare_rows(
        &self,
        of: &RowsOfTenant,
        tx: &mut TenantTransaction,
    ) -> Result<(), Error> {
        let Self { provisioner, site, options, .. } = self;
        refuse_citus(&provisioner.fleet.at(&site.home), tx).await?;
        let mut sql = Sql::default();
        limit_locks(&mut sql, options);
        sqlx::raw_sql(sql.finish()).execute(&mut **tx).await?;
        if !lock(tx, site, "pg_catalog.pg_try_advisory_xact_lock").await? {
            let attempted = "another session is creating or dropping it";
            return Err(Error::new(ErrorKind::TenantExists, attempted));
        }
        let tables = tables::read(tx, site, of).await?;
        refuse_missing_tables(site, of, &tables)?;
        claim_key(tx, site, of).await?;
        refuse_key_in_use(tx, site, of, &tables).await
    }
}

/// Refuses tables of all tenants in a Citus cluster: workers evaluate the policies, and do not know the tenant of the
/// coordinator's session.
async fn refuse_citus(fleet: &Fleet, conn: &mut PgConnection) -> Result<(), Error> {
    let Some(citus) = fleet.citus(conn).await? else { return Ok(()) };
    let attempted = format!(
        "the server has {citus}, where isolation by row is not supported: create the tenant with a schema, or in a \
         database without Citus"
    );
    Err(Error::new(ErrorKind::Config, attempted))
}

/// Refuses to create a tenant before the migrations have created its tables.
pub(super) fn refuse_missing_tables(
    site: &Site,
    of: &RowsOfTenant,
    tables: &[Table],
) -> Result<(), Error> {
    if !tables.is_empty() {
        return Ok(());
    }
    let (place, target) = match site.server() {
        Some(server) => (format!(" on server {server}"), format!("(rows on {server})")),
        None => (String::new(), "(rows)".to_owned()),
    };
    let attempted = format!(
        "schema {}{place} has no table with the column {}: create the schema if it is missing, and migrate its tables \
         first, by the name {target:?}",
        site.schema,
        of.of.key_column()
    );
    Err(Error::new(ErrorKind::Placement, attempted))
}

/// Refuses a key that rows have already: the tenant would see those of another one.
pub(super) async fn refuse_key_in_use(
    conn: &mut PgConnection,
    site: &Site,
    of: &RowsOfTenant,
    tables: &[Table],
) -> Result<(), Error> {
    let Some(table) = table_with_rows(conn, site, of, tables).await? else { return Ok(()) };
    let attempted = format!(
        "table {}.{table} has rows with its key {:?} already: choose another key, or delete them",
        site.schema, of.key
    );
    Err(Error::new(ErrorKind::Placement, attempted))
}

/// Returns a table that has rows with the tenant's key, if there is one.
pub(super) async fn table_with_rows(
    conn: &mut PgConnection,
    site: &Site,
    of: &RowsOfTenant,
    tables: &[Table],
) -> Result<Option<Arc<str>>, Error> {
    let mut sql = Sql::new("set local row_security to on; ");
    for (place, table) in tables.iter().enumerate() {
        sql.text(if place == 0 { "select t.name from (select " } else { " union all select " });
        sql.literal(&table.name).text(" as name where exists (select from ");
        table.named(&mut sql, &site.schema);
        sql.text(" t where ");
        table.is_tenants(&mut sql, "t", of).text(")");
    }
    sql.text(") t limit 1");
    let found = sqlx::raw_sql(sql.finish()).fetch_optional(conn).await?;
    Ok(found.map(|row| row.try_get::<&str, _>(0).map(Into::into)).transpose()?)
}
