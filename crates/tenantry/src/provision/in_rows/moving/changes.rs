//! Brings rows that have changed while they were being copied to the target.

use futures_util::{TryStreamExt, future::try_join};
use sqlx::{PgConnection, Row};

use super::{
    super::{
        advance::advance, collected::columns, create::refuse_missing_tables, export::Export,
        fit::fit, received::Received, restore::Target, tables::Table,
    },
    RowsAt,
    keys::{Key, read_keys},
    log::ChangeLog,
    pass::contents,
    rewrite::{Changed, disable_triggers, write},
    why_not::{AtTarget, at_target},
};
use crate::{
    clone::{Content, different},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    provision::Provisioner,
    rows::{ExportOptions, RestoreOptions, file::Header},
    sql::Sql,
};

/// Bytes of rows that are written by one statement.
const BATCH: usize = 256 * 1024;

/// How far to go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Catching {
    /// Compare all rows of both places as they are in this snapshot.
    pub(crate) is_compared: bool,
    /// The rows do not change any more, and sequences follow.
    pub(crate) is_last: bool,
}

/// What has got to the target. Both transactions are open: that of the target is to be committed first. If the other one
/// is not, the same changes come again, which changes nothing.
pub(crate) struct Round {
    pub(crate) reader: TenantTransaction,
    pub(crate) writer: TenantTransaction,
    /// The number of keys in the log.
    pub(crate) keys: u64,
    /// The rows of each table, if they were compared.
    pub(crate) contents: Option<Vec<Content>>,
    /// Rows differ, in words.
    pub(crate) different: Option<String>,
}

/// The number of keys in the log, the rows that were compared, and how they differ.
type Done = (u64, Option<Vec<Content>>, Option<String>);

/// What a round has read: all tables, with the numbers of their keys in the log.
struct Read {
    header: Header,
    tables: Vec<Table>,
    keys: Vec<Key>,
    pending: Vec<u64>,
}

/// The rows at the target, and how they are found there.
struct There {
    tables: Vec<Table>,
    keys: Vec<Key>,
    at_target: Vec<AtTarget>,
}

impl RowsAt<'_> {
    /// Writes the rows that have changed since the last round, as a snapshot shows them now.
    pub(crate) async fn pass_changes(
        self,
        to: RowsAt<'_>,
        log: ChangeLog<'_>,
        how: Catching,
    ) -> Result<Round, Error> {
        let mut lease = self.fleet.lease_for(self.site).await?;
        let known = self.read(&mut lease).await?;
        refuse_missing_tables(self.site, self.of()?, &known)?;
        let mut reader = TenantTransaction::open(lease).await?;
        let mut writer = TenantTransaction::open(to.fleet.lease_for(to.site).await?).await?;
        let passed = self.pass_changes_within(&mut reader, to, &mut writer, &known, log, how);
        match passed.await {
            Ok((keys, contents, different)) => {
                Ok(Round { reader, writer, keys, contents, different })
            }
            Err(error) => {
                drop(writer.rollback().await);
                drop(reader.rollback().await);
                Err(error)
            }
        }
    }

    async fn pass_changes_within(
        self,
        reader: &mut TenantTransaction,
        to: RowsAt<'_>,
        writer: &mut TenantTransaction,
        known: &[Table],
        log: ChangeLog<'_>,
        how: Catching,
    ) -> Result<Done, Error> {
        let (read, there) =
            try_join(self.begin_round(reader, known, log), to.begin_rewrite(writer)).await?;
        let Read { mut header, tables, keys, pending } = read;
        let total = pending.iter().sum();
        let is_changed = |table: &Table| {
            let place = tables.iter().position(|of| of.oid == table.oid);
            place.is_some_and(|place| pending[place] > 0)
        };
        let names = header.tables.iter().map(|table| {
            let columns = table.columns.iter().map(|column| column.name.clone());
            (table.name.clone(), columns.collect::<Vec<_>>())
        });
        let names: Vec<_> = names.collect();
        let changed: Vec<_> = tables.iter().zip(&keys).filter(|(of, _)| is_changed(of)).collect();
        header.tables.retain(|table| changed.iter().any(|(of, _)| of.name == table.name));
        if !changed.is_empty() {
            self.rewrite(reader, (to, &there), writer, (&changed, &header), log).await?;
        }
        if how.is_last {
            self.pass_sequences(reader, &tables, to, writer).await?;
        }
        let (mut found, mut differ) = (None, None);
        if how.is_compared {
            let (before, after) =
                try_join(contents(reader, self, &names), contents(writer, to, &names)).await?;
            differ = different(&before, &after);
            found = Some(before);
        }
        Ok((total, found, differ))
    }

    /// Takes the snapshot of a round, and reads what has changed.
    async fn begin_round(
        &self,
        reader: &mut TenantTransaction,
        known: &[Table],
        log: ChangeLog<'_>,
    ) -> Result<Read, Error> {
        let (options, of) = (ExportOptions::default(), self.of()?);
        let export = Export { id: self.id(), site: self.site, of, options: &options };
        export.begin(reader, known, false).await?;
        self.lock_out_migrations(reader).await?;
        let (header, tables) = export.describe(reader, known).await?;
        let keys = read_keys(reader, &tables, of.of.key_column()).await?;
        self.check_log(reader, (&tables, &keys), log).await?;
        let pending = log.pending(reader, &tables).await?;
        if !self.are_shared {
            self.refuse_left_behind(reader, &tables, log).await?;
        }
        Ok(Read { header, tables, keys, pending })
    }

    /// Refuses rows that a tenant with tables of its own has got meanwhile and would lose.
    async fn refuse_left_behind(
        &self,
        conn: &mut PgConnection,
        tables: &[Table],
        log: ChangeLog<'_>,
    ) -> Result<(), Error> {
        let noted = log.with_others(conn).await?;
        let tables: Vec<_> = tables.iter().filter(|table| noted.contains(&table.oid)).collect();
        let (left, _) = self.left_behind(conn, &tables).await?;
        match left.is_empty() {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Move, left.join("; "))),
        }
    }

    /// Begins to write at the target.
    async fn begin_rewrite(&self, writer: &mut TenantTransaction) -> Result<There, Error> {
        let of = self.of()?;
        let target = Target {
            there: Provisioner::new(self.fleet.clone()),
            record: self.record.clone(),
            site: self.site.clone(),
            is_new: false,
        };
        let tables = target.begin(writer, of, &RestoreOptions::default()).await?;
        let keys = read_keys(writer, &tables, of.of.key_column()).await?;
        let at_target = at_target(writer, &tables).await?;
        Ok(There { tables, keys, at_target })
    }

    /// Writes changed rows, and removes their keys from the log.
    async fn rewrite(
        self,
        reader: &mut TenantTransaction,
        (to, there): (RowsAt<'_>, &There),
        writer: &mut TenantTransaction,
        (tables, header): (&[(&Table, &Key)], &Header),
        log: ChangeLog<'_>,
    ) -> Result<(), Error> {
        let (of, to_of) = (self.of()?, to.of()?);
        let not_fit = |what| Error::new(ErrorKind::Move, what);
        let fits = fit(header, &there.tables, to_of.of.key_column().as_str(), false);
        let fits = fits.map_err(not_fit)?;
        let received = Received { site: to.site, of: to_of, tables: &there.tables, fits: &fits };
        let changed = fits.iter().enumerate().map(|(number, fit)| Changed {
            site: to.site,
            of: to_of,
            table: &there.tables[fit.place],
            fit,
            key: &there.keys[fit.place],
            rewrite: there.at_target[fit.place].rewrite,
            number: number as u64,
        });
        let changed: Vec<_> = changed.collect();
        let mut create = Sql::default();
        changed.iter().for_each(|of| of.create(&mut create));
        sqlx::raw_sql(create.finish()).execute(&mut **writer).await?;
        for to in &changed {
            let named = tables.iter().find(|(table, _)| table.name == to.table.name);
            let Some((table, key)) = named.filter(|(_, key)| key.is_like(to.key)) else {
                let what =
                    format!("the primary key of table {} is another one by now", to.table.name);
                return Err(not_fit(what));
            };
            let mut keys = Sql::default();
            log.keys(&mut keys, table);
            stream(reader, keys, writer, &|sql| _ = to.keys(sql)).await?;
            let mut rows = Sql::new("select row(");
            columns(&mut rows, &to.fit.copies).text(")::pg_catalog.text from ");
            table.named(&mut rows, &self.site.schema).text(" as x where ");
            log.has(table.is_tenants(&mut rows, "x", of).text(" and "), table, key, "x");
            stream(reader, rows, writer, &|sql| _ = to.rows(sql)).await?;
        }
        let enable = match to.are_shared {
            true => Sql::default(),
            false => disable_triggers(writer, &changed).await?,
        };
        write(writer, &changed).await?;
        for of in &changed {
            received.refuse_strangers(writer, of.table, &of.only_changed()).await?;
        }
        let written = changed.iter().map(|of| (of.table, of.collected()));
        advance(writer, &written.collect::<Vec<_>>()).await?;
        if enable.len() > 0 {
            sqlx::raw_sql(enable.finish()).execute(&mut **writer).await?;
        }
        let tables: Vec<_> = tables.iter().map(|(table, _)| *table).collect();
        log.remove(reader, &tables).await
    }
}

/// Streams records, which a query returns as text, into a temporary table with the same columns.
///
/// Not by `copy`: its data and its end are two packets, and sqlx leaves Nagle's algorithm on. So the second one would wait
/// for up to 40 ms until the server has acknowledged the first, for each table.
async fn stream(
    reader: &mut PgConnection,
    query: Sql,
    writer: &mut PgConnection,
    name: &(dyn Fn(&mut Sql) + Send + Sync),
) -> Result<(), Error> {
    let mut to = Sql::new("insert into ");
    name(&mut to);
    name(to.text(" select d.* from pg_catalog.unnest($1::pg_catalog.text[]::"));
    to.text("[]) as d");
    let to = to.finish();
    let mut lines = sqlx::raw_sql(query.finish()).fetch(reader);
    let (mut batch, mut bytes) = (Vec::new(), 0);
    loop {
        let line = lines.try_next().await?.map(|row| row.try_get::<String, _>(0)).transpose()?;
        let is_end = line.is_none();
        bytes += line.as_ref().map_or(0, String::len);
        batch.extend(line);
        if bytes > BATCH || (is_end && !batch.is_empty()) {
            let insert = sqlx::query(to.clone()).bind(std::mem::take(&mut batch));
            insert.persistent(false).execute(&mut *writer).await?;
            bytes = 0;
        }
        if is_end {
            return Ok(());
        }
    }
}
