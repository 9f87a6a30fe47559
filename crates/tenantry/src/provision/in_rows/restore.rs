//! Reads the rows of a tenant from a file.

use sqlx::PgConnection;
use tokio::{io::AsyncRead, time::Instant};

use super::{
    super::{
        CreateOptions, DropOptions, Provisioner, TableRows, commit::roll_back,
        retired::claim_key_in_snapshot, step::refuse_unfinished,
    },
    columns::read_columns,
    create::{refuse_missing_tables, table_with_rows},
    delete::Rows,
    drop::{delete_within, lock, locked},
    file::{FileReader, Input, refused},
    fit::fit,
    received::Received,
    tables::{self, Table},
};
use crate::{
    catalog::{CatalogChange, RowsOfTenant, Site},
    clone::{in_snapshot_sql, session_sql, unlimited_sql},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    rows::{RestoreOptions, RestoreReport, file::Header},
    seed::{ensure_table, forget_rows, note_rows},
    sql::Sql,
    tenant::{IsolationKind, ParseTenantIdError, TenantId, TenantRecord},
};

impl Provisioner {
    /// Reads the rows of a tenant from a file that [`export_rows`](Self::export_rows) has written, and makes them those
    /// of a tenant that is [isolated by row](crate::Isolation::row): of the same or another one, in the same or another
    /// database.
    ///
    /// A tenant that the catalog does not list is created, with the key of the options. An existing one must have no
    /// rows, or [all of them are replaced](RestoreOptions::replace). All rows get the key of the tenant, which the file
    /// cannot choose. Columns that the file does not have get their defaults, and generated ones are computed. Triggers
    /// fire. Sequences continue after the ids of the file. The tenant then has the seeds that it had when it was
    /// exported; this provisioner's seeds are not run.
    ///
    /// Everything happens in one transaction. The rows stream into temporary tables first; those of all tenants are
    /// only written once the file has turned out to be whole. So the role needs the privilege to create temporary
    /// tables, and the server twice the space of the rows.
    ///
    /// # Errors
    ///
    /// [`RowsFile`](ErrorKind::RowsFile) if the file cannot be read, is damaged, cut off or no such file; if tables or
    /// columns differ, with a list of all differences; if a row refers to one of another tenant; or if a trigger or a
    /// rule changes the rows. [`Placement`](ErrorKind::Placement) if the tenant has rows already, has tables of its own,
    /// or would be created on a further server. [`UniqueViolation`](ErrorKind::UniqueViolation) if another tenant has
    /// values that are unique among all tenants; the message names the table. [`Config`](ErrorKind::Config) if options
    /// of a new tenant are given for an existing one. [`Busy`](ErrorKind::Busy) if the tenant is being changed.
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) if the manager's role lacks a privilege. As for
    /// [`create`](Self::create) if the tenant is new. Otherwise the server's error. Nothing is changed then, except that
    /// a sequence can have skipped values.
    ///
    /// # Cancel safety
    ///
    /// If dropped, either all rows are restored or none.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager, file: Vec<u8>) -> Result<(), tenantry::Error> {
    /// use tenantry::rows::RestoreOptions;
    ///
    /// let options = RestoreOptions::default().replace(true);
    /// let report = manager.provisioner().restore_rows("acme", &file[..], options).await?;
    /// println!("{report}");
    /// # Ok(()) }
    /// ```
    pub async fn restore_rows<I>(
        &self,
        id: I,
        from: impl AsyncRead + Send + Unpin,
        options: RestoreOptions,
    ) -> Result<RestoreReport, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let (id, mut from) = (id.try_into().map_err(Into::into)?, from);
        let restored = Box::pin(self.restore_rows_now(&id, &mut from, &options)).await;
        restored.map_err(|error| error.with_tenant_unless_named(&id))
    }

    async fn restore_rows_now(
        &self,
        id: &TenantId,
        from: Input<'_>,
        options: &RestoreOptions,
    ) -> Result<RestoreReport, Error> {
        let began = Instant::now();
        let (file, header) = FileReader::open(from).await?;
        let to = self.target(id, options).await?;
        let restored = to.restore(file, &header, options).await;
        if to.is_new {
            // A negative cache entry may exist from before.
            self.fleet.forget(id);
        }
        let (tables, deleted) = restored?;
        Ok(RestoreReport {
            tenant_id: id.clone(),
            schema: to.site.schema.as_str().into(),
            exported_tenant_id: header.tenant_id,
            exported_from: header.server_version,
            created: to.is_new,
            tables,
            deleted,
            duration: began.elapsed(),
        })
    }

    /// Finds the tenant, or prepares its creation.
    async fn target(&self, id: &TenantId, options: &RestoreOptions) -> Result<Target, Error> {
        let record = match self.fleet.record(id).await {
            Ok(record) => record,
            Err(error) if error.kind() == ErrorKind::UnknownTenant => {
                let (record, site) = self.new_of_copy(id, &create_options(options)).await?;
                return Ok(Target { there: self.clone(), record, site, is_new: true });
            }
            Err(error) => return Err(error),
        };
        refuse_unfinished(&record)?;
        if options.names_new_tenant() {
            let attempted =
                "the tenant exists, and only a new one gets a key, a role and attributes";
            return Err(Error::new(ErrorKind::Config, attempted));
        }
        let there = self.at(&self.fleet.home_of(&record)?);
        let site = there.fleet.site_of_rows(&record)?;
        site.refuse_moving()?;
        if options.replace {
            self.refuse_when_shared(&record, &site).await?;
        }
        Ok(Target { there, record, site, is_new: false })
    }
}

fn create_options(options: &RestoreOptions) -> CreateOptions {
    CreateOptions {
        isolation: Some(IsolationKind::Row),
        key: options.key.clone(),
        attributes: options.attributes.clone(),
        role: options.role.clone(),
        lock_timeout: options.lock_timeout,
        ..CreateOptions::default()
    }
}

/// The tenant that gets the rows.
pub(super) struct Target {
    /// Works in the database of the rows.
    pub(super) there: Provisioner,
    pub(super) record: TenantRecord,
    pub(super) site: Site,
    /// It has no rows, and its key is claimed.
    pub(super) is_new: bool,
}

/// The tables with rows that were restored, and with those that were deleted.
type Restored = (Vec<TableRows>, Vec<TableRows>);

impl Target {
    async fn restore(
        &self,
        file: FileReader<'_>,
        header: &Header,
        options: &RestoreOptions,
    ) -> Result<Restored, Error> {
        let Self { there, site, .. } = self;
        let mut lease = there.fleet.lease_for(site).await?;
        if !header.seeds.is_empty() {
            ensure_table(&mut lease, site).await?;
        }
        let mut tx = TenantTransaction::open(lease).await?;
        match self.restore_within(&mut tx, file, header, options).await {
            Ok(restored) => there.commit(tx).await.map(|()| restored),
            Err(error) => Err(roll_back(tx, error).await),
        }
    }

    async fn restore_within(
        &self,
        tx: &mut TenantTransaction,
        file: FileReader<'_>,
        header: &Header,
        options: &RestoreOptions,
    ) -> Result<Restored, Error> {
        let Self { there, site, record, is_new } = self;
        let restored = self.fill(tx, file, header, options).await?;
        note_rows(tx, site, &header.seeds).await?;
        if *is_new {
            there.fleet.write(tx, CatalogChange::Created(record)).await?;
        }
        Ok(restored)
    }

    /// Writes the rows of a file.
    pub(super) async fn fill(
        &self,
        tx: &mut TenantTransaction,
        mut file: FileReader<'_>,
        header: &Header,
        options: &RestoreOptions,
    ) -> Result<Restored, Error> {
        let site = &self.site;
        let Some(of) = &site.rows else {
            return Err(Error::new(ErrorKind::Placement, "it has tables of its own"));
        };
        let tables = self.begin(tx, of, options).await?;
        let key = of.of.key_column().as_str();
        let fits = fit(header, &tables, key, options.new_ids).map_err(refused)?;
        if !options.replace {
            self.refuse_rows(tx, of, &tables).await?;
        }
        let received = Received { site, of, tables: &tables, fits: &fits };
        let rows = received.read(tx, &mut file, options.counter(fits.len())).await?;
        file.end().await?;
        let deleted = match options.replace {
            true => self.delete(tx, of, &tables, options).await?,
            false => Vec::new(),
        };
        received.insert(tx, &rows).await?;
        received.check(tx).await?;
        let named = fits.iter().zip(rows);
        let restored =
            named.map(|(fit, rows)| TableRows { table: fit.copies.table.into(), rows }).collect();
        Ok((restored, deleted))
    }

    /// Takes the lock of the tenant's rows, and reads the tables.
    pub(super) async fn begin(
        &self,
        conn: &mut PgConnection,
        of: &RowsOfTenant,
        options: &RestoreOptions,
    ) -> Result<Vec<Table>, Error> {
        let mut sql = Sql::default();
        in_snapshot_sql(&mut sql);
        session_sql(&mut sql, options.lock_timeout);
        sql.text("set local row_security to on; ");
        unlimited_sql(&mut sql);
        sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;
        if !lock(conn, &self.site, "pg_catalog.pg_try_advisory_xact_lock").await? {
            return Err(locked(conn, &self.site).await);
        }
        let mut tables = tables::read(conn, &self.site, of).await?;
        refuse_missing_tables(&self.site, of, &tables)?;
        if self.is_new {
            claim_key_in_snapshot(conn, &self.site, of).await?;
        }
        read_columns(conn, of, &mut tables).await?;
        Ok(tables)
    }

    async fn refuse_rows(
        &self,
        conn: &mut PgConnection,
        of: &RowsOfTenant,
        tables: &[Table],
    ) -> Result<(), Error> {
        let found = table_with_rows(conn, &self.site, of, tables).await?;
        let Some(table) = found else { return Ok(()) };
        let advice = match self.is_new {
            true => "choose another key, or delete them",
            false => "drop the tenant first, or restore with the option to replace them",
        };
        let attempted = format!(
            "table {}.{table} has rows with its key {:?} already: {advice}",
            self.site.schema, of.key
        );
        Err(Error::new(ErrorKind::Placement, attempted))
    }

    async fn delete(
        &self,
        conn: &mut PgConnection,
        of: &RowsOfTenant,
        tables: &[Table],
        options: &RestoreOptions,
    ) -> Result<Vec<TableRows>, Error> {
        let options = DropOptions::default().lock_timeout(options.lock_timeout);
        let rows = Rows { site: &self.site, of, tables, options: &options };
        let deleted = delete_within(conn, &rows).await?;
        forget_rows(conn, &self.site).await?;
        Ok(deleted)
    }
}
