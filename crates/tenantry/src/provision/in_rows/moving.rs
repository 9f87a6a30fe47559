//! The rows of a tenant on their way to another place: they leave, or get into, the tables of all tenants.

use std::sync::Arc;

use futures_util::future::try_join;
use sqlx::{PgConnection, Row, SqlStr};
use tokio::io::duplex;

use super::{
    super::{
        DropOptions, Provisioner, TableRows,
        retired::{self, KeyThen},
    },
    columns::read_columns,
    create::{refuse_missing_tables, table_with_rows},
    drop::lock,
    export::{Export, described_all},
    file::FileReader,
    fit::fit,
    restore::Target,
    tables::{self, Table},
};
use crate::{
    catalog::{RowsOfTenant, Site},
    clone::{Content, different, feeding, sequences_of, set_alike},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    fleet::Fleet,
    migrate::try_lock,
    rows::{ExportOptions, RestoreOptions, file::Header},
    seed,
    sql::Sql,
    tenant::{TenantId, TenantRecord},
};

/// Bytes of rows between the transaction that reads and the one that writes.
const BUFFER: usize = 256 * 1024;

/// The rows of a tenant at one of two places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowsAt<'a> {
    pub(crate) fleet: &'a Fleet,
    /// It has the tenant's key, also for tables of the tenant's own.
    pub(crate) site: &'a Site,
    pub(crate) record: &'a TenantRecord,
    /// The tables are those of all tenants.
    pub(crate) are_shared: bool,
}

/// What rows were found at a place.
#[derive(Debug)]
pub(crate) struct RowsFound {
    /// The tables with the column of the tenant's key.
    pub(crate) tables: Vec<String>,
    /// Bytes of the tenant's rows, as text.
    pub(crate) bytes: u64,
    /// What would be lost, in words.
    pub(crate) left_behind: Vec<String>,
    /// Tables with rows that every tenant has in common at the target.
    pub(crate) in_common: Vec<String>,
}

/// The rows that have got to the target.
#[derive(Debug)]
pub(crate) struct RowsMoved {
    pub(crate) tables: Vec<TableRows>,
    /// Rows differ, in words.
    pub(crate) different: Option<String>,
}

impl<'a> RowsAt<'a> {
    fn of(&self) -> Result<&'a Arc<RowsOfTenant>, Error> {
        let none =
            || Error::new(ErrorKind::Placement, "it has no key in the tables of all tenants");
        self.site.rows.as_ref().ok_or_else(none)
    }

    /// Returns the tenant's key.
    pub(crate) fn key(&self) -> &'a str {
        self.site.rows.as_ref().map_or("", |rows| &rows.key)
    }

    /// Reads the names of the tables with the column of the tenant's key.
    pub(crate) async fn tables(&self, conn: &mut PgConnection) -> Result<Vec<String>, Error> {
        let tables = self.read(conn).await?;
        Ok(tables.into_iter().map(|table| table.name).collect())
    }

    async fn read(&self, conn: &mut PgConnection) -> Result<Vec<Table>, Error> {
        tables::read(conn, self.site, self.of()?).await
    }

    /// Appends the condition that a row of `alias` is the tenant's.
    pub(crate) fn is_tenants(&self, sql: &mut Sql, alias: &'static str) -> Result<(), Error> {
        tables::is_tenants(sql, alias, self.of()?);
        Ok(())
    }

    /// Makes sure that there is a table of keys that were given up. Not in a transaction.
    pub(crate) async fn ensure_records(&self, conn: &mut PgConnection) -> Result<(), Error> {
        retired::ensure_table_of_keys(conn, self.site, self.of()?).await
    }

    /// Takes the lock of the tenant's rows until the end of the transaction. Returns `false` if another session has it.
    pub(crate) async fn lock(&self, conn: &mut PgConnection) -> Result<bool, Error> {
        lock(conn, self.site, "pg_catalog.pg_try_advisory_xact_lock").await
    }

    /// Returns the statement that records that the key is not the tenant's any more, and no other tenant's either.
    pub(crate) fn give_key_up_sql(&self) -> Result<SqlStr, Error> {
        Ok(retired::keep_key_sql(self.site, self.of()?))
    }

    /// Returns the statement that records that the tenant has its key again.
    pub(crate) fn take_key_back_sql(&self) -> Result<SqlStr, Error> {
        Ok(retired::take_key_back_sql(self.site, self.of()?))
    }

    /// Returns `true` if the key was given up and no tenant has it since.
    pub(crate) async fn is_given_up(&self, conn: &mut PgConnection) -> Result<bool, Error> {
        retired::is_given_up(conn, self.site, self.of()?).await
    }

    /// Deletes the rows in batches. Those that were kept are not deleted if another tenant has their key by now, which is
    /// reserved for a while otherwise.
    pub(crate) async fn delete(&self, were_kept: bool) -> Result<(), Error> {
        let provisioner = Provisioner::new(self.fleet.clone());
        let key = if were_kept { KeyThen::Kept } else { KeyThen::Free };
        let (options, of) = (DropOptions::default(), self.of()?);
        provisioner.delete_rows(self.site, of, &options, key).await.map(drop)
    }

    /// Refuses rows that were kept, while a session that has not heard that the tenant has moved can have their key.
    pub(crate) async fn refuse_kept_in_use(&self) -> Result<(), Error> {
        let of = self.of()?;
        Provisioner::new(self.fleet.clone()).refuse_kept_in_use(self.site, of).await
    }

    /// Looks at the rows before they leave, and measures them.
    pub(crate) async fn examine(&self) -> Result<RowsFound, Error> {
        let of = self.of()?;
        let mut lease = self.fleet.lease_for(self.site).await?;
        let known = self.read(&mut lease).await?;
        refuse_missing_tables(self.site, of, &known)?;
        tables::refuse_unreadable(&mut lease, &self.site.schema, &known).await?;
        let (left_behind, in_common) = match self.are_shared {
            true => Default::default(),
            false => self.left_behind(&mut lease, &known).await?,
        };
        let mut sql = Sql::new("set row_security to on; select (");
        for (place, table) in known.iter().enumerate() {
            sql.text(if place == 0 { "" } else { " operator(pg_catalog.+) " });
            sql.text(
                "(select coalesce(pg_catalog.sum(pg_catalog.length(t::pg_catalog.text)), 0) from ",
            );
            table.named(&mut sql, &self.site.schema).text(" t where ");
            table.is_tenants(&mut sql, "t", of).text(")");
        }
        sql.text(")::pg_catalog.int8");
        let row = sqlx::raw_sql(sql.finish()).fetch_one(&mut *lease).await?;
        let bytes = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
        lease.settle().await;
        let tables = known.into_iter().map(|table| table.name).collect();
        Ok(RowsFound { tables, bytes, left_behind, in_common })
    }

    /// Names what a tenant with tables of its own would lose: rows of tables without the column of the key, and rows with
    /// another key. Also returns the former tables that are shared at the target.
    async fn left_behind(
        &self,
        conn: &mut PgConnection,
        keyed: &[Table],
    ) -> Result<(Vec<String>, Vec<String>), Error> {
        let (of, schema) = (self.of()?, &self.site.schema);
        let unkeyed = sqlx::query_scalar(UNKEYED)
            .bind(schema.as_str())
            .bind(of.of.key_column().as_str())
            .persistent(false);
        let unkeyed: Vec<String> = unkeyed.fetch_all(&mut *conn).await?;
        let is_shared = |table: &str| of.of.shared_names().iter().any(|of| of.as_str() == table);
        let (mut left, mut in_common) = (Vec::new(), Vec::new());
        let mut sql = Sql::new("set row_security to on; select t.name, t.other from (");
        for (place, table) in unkeyed.iter().enumerate() {
            sql.text(if place == 0 { "select " } else { " union all select " });
            sql.literal(table).text(" as name, false as other where exists (select from ");
            sql.ident(schema).text(".").name(table).text(")");
        }
        for (place, table) in keyed.iter().enumerate() {
            sql.text(if place == 0 && unkeyed.is_empty() {
                "select "
            } else {
                " union all select "
            });
            sql.literal(&table.name).text(" as name, true as other where exists (select from ");
            table.named(&mut sql, schema).text(" t where (");
            tables::is_tenants(&mut sql, "t", of).text(") is not true");
            tables::belongs(&mut sql, "t", &table.elsewhere).text(")");
        }
        sql.text(") t");
        for row in sqlx::raw_sql(sql.finish()).fetch_all(conn).await? {
            let (table, is_other): (&str, bool) = (row.try_get(0)?, row.try_get(1)?);
            let key = of.of.key_column();
            match is_other {
                true => {
                    left.push(format!("table {table} has rows with another {key} than {:?}", of.key));
                }
                false if is_shared(table) => in_common.push(table.to_owned()),
                false => left.push(format!(
                    "table {table} has rows, and no column {key}; list it with Rows::shared_tables if the tables of all \
                     tenants have these rows"
                )),
            }
        }
        Ok((left, in_common))
    }

    /// Names what keeps the tables of a place from taking the rows of another one.
    pub(crate) async fn refusals(&self, from: RowsAt<'_>) -> Result<Vec<String>, Error> {
        let of = self.of()?;
        let mut lease = from.fleet.lease_for(from.site).await?;
        let mut theirs = from.read(&mut lease).await?;
        read_columns(&mut lease, from.of()?, &mut theirs).await?;
        drop(lease);
        let mut lease = self.fleet.lease_for(self.site).await?;
        let mut own = self.read(&mut lease).await?;
        if own.is_empty() {
            let refused = refuse_missing_tables(self.site, of, &own);
            return Ok(refused.err().map(|error| error.to_string()).into_iter().collect());
        }
        read_columns(&mut lease, of, &mut own).await?;
        let mut found = Vec::new();
        let header = Header {
            tenant_id: self.id().to_string(),
            key: of.key.to_string(),
            key_column: of.of.key_column().to_string(),
            server_version: String::new(),
            seeds: Vec::new(),
            tables: described_all(&theirs),
        };
        found.extend(fit(&header, &own, of.of.key_column().as_str(), false).err());
        if let Some(table) = table_with_rows(&mut lease, self.site, of, &own).await? {
            let (schema, key) = (&self.site.schema, &of.key);
            found.push(format!("table {schema}.{table} has rows with its key {key:?} already"));
        }
        lease.settle().await;
        Ok(found)
    }

    /// Returns another tenant with the same key in the same tables, as far as the catalog knows.
    pub(crate) async fn sharer(&self, control: &Fleet) -> Result<Option<TenantId>, Error> {
        Provisioner::new(control.clone()).sharer(self.record, self.site).await
    }

    /// Refuses a key that sessions may still have, or that is kept for the rows of a tenant that has moved.
    pub(crate) async fn refuse_key_in_use(&self) -> Result<(), Error> {
        Provisioner::new(self.fleet.clone()).refuse_retired_key(self.site).await
    }

    /// Streams the rows to another place, in one transaction on each side; that of the writer stays open. The rows at
    /// the source do not change any more.
    pub(crate) async fn pass_to(
        self,
        to: RowsAt<'_>,
        verify: bool,
    ) -> Result<(RowsMoved, TenantTransaction), Error> {
        let mut lease = self.fleet.lease_for(self.site).await?;
        let known = self.read(&mut lease).await?;
        refuse_missing_tables(self.site, self.of()?, &known)?;
        let mut reader = TenantTransaction::open(lease).await?;
        let mut lease = to.fleet.lease_for(to.site).await?;
        if to.are_shared {
            seed::ensure_table(&mut lease, to.site).await?;
        }
        let mut writer = TenantTransaction::open(lease).await?;
        let passed = self.pass(&mut reader, to, &mut writer, &known, verify).await;
        drop(reader.rollback().await);
        match passed {
            Ok(moved) => Ok((moved, writer)),
            Err(error) => {
                drop(writer.rollback().await);
                Err(error)
            }
        }
    }

    async fn pass(
        self,
        reader: &mut TenantTransaction,
        to: RowsAt<'_>,
        writer: &mut TenantTransaction,
        known: &[Table],
        verify: bool,
    ) -> Result<RowsMoved, Error> {
        let options = ExportOptions::default();
        let export = Export { id: self.id(), site: self.site, of: self.of()?, options: &options };
        export.begin(reader, known).await?;
        self.lock_out_migrations(reader).await?;
        if !self.are_shared {
            // The tenant was served since its tables were examined.
            let (left, _) = self.left_behind(reader, known).await?;
            if !left.is_empty() {
                return Err(Error::new(ErrorKind::Move, left.join("; ")));
            }
        }
        let (mut header, tables) = export.describe(reader, known).await?;
        if !self.are_shared {
            header.seeds = seed::list(reader, &self.site.schema).await?;
        }
        let (mut file, mut copy) = duplex(BUFFER);
        let sent = async {
            // The file ends when its writer is dropped.
            let sent = export.write(&mut *reader, &header, &tables, &mut file).await;
            drop(file);
            sent.map(drop)
        };
        let received = to.receive(writer, &mut copy);
        let ((), (received, names)) = try_join(sent, received).await?;
        self.pass_sequences(reader, &tables, to, writer).await?;
        let different = match verify {
            true => {
                let before = contents(reader, self, &names).await?;
                different(&before, &contents(writer, to, &names).await?)
            }
            false => None,
        };
        Ok(RowsMoved { tables: received, different })
    }

    /// Lets the sequences of the target continue where those of the source are: the tenant may have deleted rows with the
    /// latest values.
    async fn pass_sequences(
        &self,
        reader: &mut PgConnection,
        tables: &[Table],
        to: RowsAt<'_>,
        writer: &mut PgConnection,
    ) -> Result<(), Error> {
        let targets = to.read(writer).await?;
        let mut fed = Vec::new();
        for table in tables {
            let Some(target) = targets.iter().find(|target| target.name == table.name) else {
                continue;
            };
            let sources = feeding(reader, table.oid).await?;
            for sequence in feeding(writer, target.oid).await? {
                fed.push(sequence.name.clone());
                let source = sources.iter().find(|source| source.column == sequence.column);
                let Some(source) = source else { continue };
                // The sequence of all tenants may be far ahead of the tenant's own values.
                if !sequence.would_run_short(source.last) {
                    sequence.advance(writer, source.last).await?;
                }
            }
        }
        // Others provide numbers that the application asks for.
        let sources = sequences_of(reader, &self.site.schema).await?;
        for sequence in sequences_of(writer, &to.site.schema).await? {
            let source = sources.iter().find(|source| source.name == sequence.name);
            let source = source.filter(|_| !fed.contains(&sequence.name));
            if let Some(source) = source
                && !sequence.would_run_short(source.last)
            {
                sequence.advance(writer, source.last).await?;
            }
        }
        Ok(())
    }

    fn id(&self) -> &'a TenantId {
        &self.record.id
    }

    /// Keeps migrations from changing the rows, or the tables, of all tenants until the end of the transaction.
    async fn lock_out_migrations(&self, conn: &mut PgConnection) -> Result<(), Error> {
        let mut sql = Sql::new("select ");
        try_lock(&mut sql, "pg_catalog.pg_try_advisory_xact_lock", &self.site.schema);
        match sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)? {
            true => Ok(()),
            false => {
                let attempted =
                    format!("another session is migrating the schema {}", self.site.schema);
                Err(Error::new(ErrorKind::Busy, attempted))
            }
        }
    }

    /// Records that tables of the tenant's own have a seed.
    async fn note_seed(&self, conn: &mut PgConnection, name: &str) -> Result<(), Error> {
        let site = self.site.clone().with_rows(None);
        match seed::record(conn, &site, name).await? {
            seed::Noted::First | seed::Noted::Already => Ok(()),
            seed::Noted::Busy => {
                Err(Error::new(ErrorKind::Busy, "another session is seeding the schema"))
            }
        }
    }

    /// Writes the rows of a file in the open transaction. Returns their numbers, and the names of the columns.
    async fn receive(
        &self,
        tx: &mut TenantTransaction,
        from: &mut tokio::io::DuplexStream,
    ) -> Result<(Vec<TableRows>, Vec<(String, Vec<String>)>), Error> {
        let (file, header) = FileReader::open(from).await?;
        let target = Target {
            there: Provisioner::new(self.fleet.clone()),
            record: self.record.clone(),
            site: self.site.clone(),
            is_new: self.are_shared,
        };
        // What migrations have filled in tables of its own comes with the tenant.
        let options = RestoreOptions::default().replace(!self.are_shared);
        let (tables, _) = target.fill(tx, file, &header, &options).await?;
        match self.are_shared {
            true => seed::note_rows(tx, self.site, &header.seeds).await?,
            false => {
                for name in &header.seeds {
                    self.note_seed(tx, name).await?;
                }
            }
        }
        let names = header.tables.into_iter().map(|table| {
            (table.name, table.columns.into_iter().map(|column| column.name).collect())
        });
        Ok((tables, names.collect()))
    }
}

/// Tables of a schema without the column of the key, except for the library's records. A partition belongs to its table.
const UNKEYED: &str = "\
    select c.relname::pg_catalog.text from pg_catalog.pg_class c \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    where n.nspname operator(pg_catalog.=) $1 \
      and c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) and not c.relispartition \
      and c.relname operator(pg_catalog.<>) all (array['_sqlx_migrations', '_tenantry_seeds']::pg_catalog.name[]) \
      and not exists (select from pg_catalog.pg_attribute a where a.attrelid operator(pg_catalog.=) c.oid \
        and a.attname operator(pg_catalog.=) $2 and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped) \
    order by 1";

/// Reads the number of the tenant's rows of each table, and the sum of their hashes.
async fn contents(
    conn: &mut PgConnection,
    at: RowsAt<'_>,
    names: &[(String, Vec<String>)],
) -> Result<Vec<Content>, Error> {
    set_alike(conn).await?;
    let (of, tables) = (at.of()?, at.read(conn).await?);
    let mut contents = Vec::with_capacity(names.len());
    for (name, columns) in names {
        let Some(table) = tables.iter().find(|table| table.name == *name) else { continue };
        let mut sql = Sql::new(
            "select pg_catalog.count(*), coalesce(pg_catalog.sum( \
               pg_catalog.hashtextextended(t::pg_catalog.text, 0)), 0)::pg_catalog.text from (select ",
        );
        for (place, column) in columns.iter().enumerate() {
            sql.text(if place == 0 { "x." } else { ", x." }).name(column);
        }
        table.named(sql.text(" from "), &at.site.schema).text(" x where ");
        table.is_tenants(&mut sql, "x", of).text(") as t");
        let row = sqlx::raw_sql(sql.finish()).fetch_one(&mut *conn).await?;
        let rows = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
        contents.push(Content::new(name, rows, row.try_get(1)?));
    }
    Ok(contents)
}
