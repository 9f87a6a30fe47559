//! Writes the rows of a tenant to a file.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::{PgConnection, Row};
use tokio::{io::AsyncWrite, time::Instant};

use super::{
    super::{Provisioner, TableRows, step::refuse_unfinished},
    columns::read_columns,
    copies::in_order,
    create::refuse_missing_tables,
    file::{FileWriter, Output},
    tables::{self, Table},
};
use crate::{
    catalog::{RowsOfTenant, Site},
    clone::{in_snapshot_sql, session_sql, unlimited_sql},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    rows::{
        ExportOptions, ExportReport,
        file::{self, Header, rows_in},
    },
    seed::list_rows,
    sql::Sql,
    tenant::{ParseTenantIdError, TenantId},
};

impl Provisioner {
    /// Writes the rows of a tenant that is [isolated by row](crate::Isolation::row) to a file, for
    /// [`restore_rows`](Self::restore_rows).
    ///
    /// All tables with the tenant column are read in one snapshot, in a read-only transaction, with the tenant's key
    /// in the setting that policies compare and in the condition of each query. The tables can be read and written
    /// meanwhile, and not altered. Suspended tenants can be exported. The rows stream through this process, which
    /// holds some 100 kB and the longest row of them at a time.
    ///
    /// The file has no keys, no structure and no rows of other tables; `docs/isolation.md` describes its format. It is
    /// complete if this returns `Ok`, and a file that is cut off is recognized.
    ///
    /// # Errors
    ///
    /// [`UnknownTenant`](ErrorKind::UnknownTenant). [`Placement`](ErrorKind::Placement) if the tenant has tables of its
    /// own, if there are no tables with the tenant column, or if no policy lets the manager's role read one of them.
    /// [`Busy`](ErrorKind::Busy) if a table was created or replaced meanwhile; try again.
    /// [`RowsFile`](ErrorKind::RowsFile) if the file cannot be written, with the [`io::Error`](std::io::Error) as the
    /// source. Otherwise the server's error.
    ///
    /// # Cancel safety
    ///
    /// If dropped, the file is incomplete.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), Box<dyn std::error::Error>> {
    /// use tenantry::rows::{ExportOptions, RestoreOptions};
    ///
    /// let mut file = Vec::new(); // or any other tokio::io::AsyncWrite
    /// let provisioner = manager.provisioner();
    /// let report = provisioner.export_rows("acme", &mut file, ExportOptions::default()).await?;
    /// println!("{report}");
    /// provisioner.restore_rows("acme-copy", &file[..], RestoreOptions::default().new_ids(true)).await?;
    /// # Ok(()) }
    /// ```
    pub async fn export_rows<I>(
        &self,
        id: I,
        to: impl AsyncWrite + Send + Unpin,
        options: ExportOptions,
    ) -> Result<ExportReport, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let (id, mut to) = (id.try_into().map_err(Into::into)?, to);
        let exported = Box::pin(self.export_rows_now(&id, &mut to, &options)).await;
        exported.map_err(|error| error.with_tenant_unless_named(&id))
    }

    async fn export_rows_now(
        &self,
        id: &TenantId,
        to: Output<'_>,
        options: &ExportOptions,
    ) -> Result<ExportReport, Error> {
        let began = Instant::now();
        let record = self.fleet.record(id).await?;
        refuse_unfinished(&record)?;
        let fleet = self.fleet.at_tenant(&record)?;
        let site = fleet.site_of_rows(&record)?;
        let Some(of) = &site.rows else {
            return Err(Error::new(ErrorKind::Placement, "it has tables of its own"));
        };
        let mut lease = fleet.lease_for(&site).await?;
        let known = tables::read(&mut lease, &site, of).await?;
        refuse_missing_tables(&site, of, &known)?;
        let export = Export { id, site: &site, of, options };
        // A transaction that is dropped in the middle of a copy ends it.
        let mut tx = TenantTransaction::open(lease).await?;
        export.begin(&mut tx, &known, true).await?;
        let (header, tables) = export.describe(&mut tx, &known).await?;
        let (tables, bytes) = export.write(&mut tx, &header, &tables, to).await?;
        tx.rollback().await?;
        Ok(ExportReport {
            tenant_id: id.clone(),
            schema: site.schema.as_str().into(),
            tables,
            bytes,
            server_version: header.server_version,
            duration: began.elapsed(),
        })
    }
}

/// An export of a tenant's rows.
pub(super) struct Export<'a> {
    pub(super) id: &'a TenantId,
    pub(super) site: &'a Site,
    pub(super) of: &'a Arc<RowsOfTenant>,
    pub(super) options: &'a ExportOptions,
}

impl Export<'_> {
    /// Locks the tables, and takes the snapshot after that.
    pub(super) async fn begin(
        &self,
        conn: &mut PgConnection,
        tables: &[Table],
        reads_only: bool,
    ) -> Result<(), Error> {
        let mut sql = Sql::default();
        in_snapshot_sql(&mut sql);
        sql.text(if reads_only { "set transaction read only; " } else { "" });
        session_sql(&mut sql, self.options.lock_timeout);
        sql.text("set local row_security to on; ");
        tables::hold_sql(&mut sql, self.site, tables);
        unlimited_sql(&mut sql);
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
        Ok(())
    }

    /// Returns what the file has, and its tables in their order.
    pub(super) async fn describe(
        &self,
        conn: &mut PgConnection,
        known: &[Table],
    ) -> Result<(Header, Vec<Table>), Error> {
        let mut tables = tables::read(conn, self.site, self.of).await?;
        tables::refuse_altered(known, &tables)?;
        tables::refuse_unreadable(conn, &self.site.schema, &tables).await?;
        read_columns(conn, self.of, &mut tables).await?;
        let order = in_order(&tables).concat();
        let mut places: Vec<_> = tables.into_iter().map(Some).collect();
        let tables: Vec<_> = order.into_iter().filter_map(|place| places[place].take()).collect();
        let version = "select pg_catalog.current_setting('server_version')";
        let version = sqlx::raw_sql(version).fetch_one(&mut *conn).await?;
        let header = Header {
            tenant_id: self.id.to_string(),
            key: self.of.key.to_string(),
            key_column: self.of.of.key_column().to_string(),
            server_version: version.try_get(0)?,
            seeds: list_rows(conn, self.site).await?,
            tables: described_all(&tables),
        };
        Ok((header, tables))
    }

    pub(super) async fn write(
        &self,
        conn: &mut PgConnection,
        header: &Header,
        tables: &[Table],
        to: Output<'_>,
    ) -> Result<(Vec<TableRows>, u64), Error> {
        let mut file = FileWriter::begin(to, header).await?;
        let mut counter = self.options.counter(tables.len());
        let mut written = Vec::new();
        for table in tables {
            let before = counter.rows();
            let sql = self.copy_sql(table);
            let mut rows = conn.copy_out_raw(sql.as_str()).await.map_err(unread(table))?;
            while let Some(piece) = rows.try_next().await.map_err(unread(table))? {
                file.write(&piece).await?;
                counter.add(&table.name, rows_in(&piece), piece.len());
            }
            let rows = counter.rows() - before;
            file.end_table(&table.name, rows).await?;
            counter.end(&table.name);
            written.push(TableRows { table: table.name.as_str().into(), rows });
        }
        let bytes = file.end(tables.len(), counter.rows()).await?;
        Ok((written, bytes))
    }

    fn copy_sql(&self, table: &Table) -> sqlx::SqlStr {
        let mut sql = Sql::new("copy (select ");
        for (place, column) in table.columns.iter().filter(|column| !column.is_key).enumerate() {
            sql.text(if place == 0 { "x." } else { ", x." }).name(&column.name);
        }
        table.named(sql.text(" from "), &self.site.schema).text(" x where ");
        table.is_tenants(&mut sql, "x", self.of).text(") to stdout");
        sql.finish()
    }
}

fn unread(table: &Table) -> impl Fn(sqlx::Error) -> Error {
    move |error| {
        let error = Error::from(error);
        let attempted = format!("reading the rows of table {}", table.name);
        Error::new(error.kind(), attempted).with_source(error)
    }
}

/// Returns tables as the file describes them.
pub(super) fn described_all(tables: &[Table]) -> Vec<file::Table> {
    tables.iter().map(described).collect()
}

/// Returns a table as the file describes it.
fn described(table: &Table) -> file::Table {
    let columns = table.columns.iter().filter(|column| !column.is_key);
    let columns = columns
        .map(|column| file::Column { name: column.name.clone(), of_type: column.of_type.clone() });
    file::Table { name: table.name.clone(), columns: columns.collect() }
}
