//! Copies rows to another place.

use futures_util::future::try_join;
use sqlx::{PgConnection, Row};
use tokio::io::duplex;

use super::{
    super::{
        create::refuse_missing_tables, export::Export, file::FileReader, restore::Target,
        tables::Table,
    },
    RowsAt,
};
use crate::{
    clone::{Content, different, feeding, sequences_of, set_alike},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::try_lock,
    provision::{Provisioner, TableRows},
    rows::{ExportOptions, RestoreOptions},
    seed,
    sql::Sql,
};

/// Bytes of rows between the transaction that reads and the one that writes.
const BUFFER: usize = 256 * 1024;

/// The rows that have got to the target.
#[derive(Debug)]
pub(crate) struct RowsMoved {
    pub(crate) tables: Vec<TableRows>,
    /// Rows differ, in words.
    pub(crate) different: Option<String>,
}

impl RowsAt<'_> {
    /// Streams the rows to another place, in one transaction on each side; that of the writer stays open. The rows at
    /// the source do not change any more.
    pub(crate) async fn pass_to(
        self,
        to: RowsAt<'_>,
        verify: bool,
        options: &ExportOptions,
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
        let passed = self.pass(&mut reader, to, &mut writer, &known, (verify, options)).await;
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
        (verify, options): (bool, &ExportOptions),
    ) -> Result<RowsMoved, Error> {
        let export = Export { id: self.id(), site: self.site, of: self.of()?, options };
        export.begin(reader, known, true).await?;
        self.lock_out_migrations(reader).await?;
        if !self.are_shared {
            // The tenant was served since its tables were examined.
            let (left, _) = self.left_behind(reader, &known.iter().collect::<Vec<_>>()).await?;
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
                let (before, after) =
                    try_join(contents(reader, self, &names), contents(writer, to, &names)).await?;
                different(&before, &after)
            }
            false => None,
        };
        Ok(RowsMoved { tables: received, different })
    }

    /// Lets the sequences of the target continue where those of the source are: the tenant may have deleted rows with the
    /// latest values.
    pub(super) async fn pass_sequences(
        &self,
        reader: &mut PgConnection,
        tables: &[Table],
        to: RowsAt<'_>,
        writer: &mut PgConnection,
    ) -> Result<(), Error> {
        let targets = to.read(writer).await?;
        let oids = |tables: &[Table]| tables.iter().map(|table| table.oid).collect::<Vec<_>>();
        let sources = feeding(reader, &oids(tables)).await?;
        let mut fed = Vec::new();
        for sequence in feeding(writer, &oids(&targets)).await? {
            let of = |table: &&Table| table.oid == sequence.table;
            let Some(target) = targets.iter().find(of) else { continue };
            let Some(table) = tables.iter().find(|table| table.name == target.name) else {
                continue;
            };
            fed.push(sequence.name.clone());
            let source = sources
                .iter()
                .find(|source| source.table == table.oid && source.column == sequence.column);
            let Some(source) = source else { continue };
            // The sequence of all tenants may be far ahead of the tenant's own values.
            if !sequence.would_run_short(source.last) {
                sequence.advance(writer, source.last).await?;
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

    /// Keeps migrations from changing the rows, or the tables, of all tenants until the end of the transaction.
    pub(super) async fn lock_out_migrations(&self, conn: &mut PgConnection) -> Result<(), Error> {
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

/// Reads the number of the tenant's rows of each table, and the sum of their hashes.
pub(super) async fn contents(
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
               pg_catalog.hashtextextended((t.*)::pg_catalog.text, 0)), 0)::pg_catalog.text from (select ",
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
