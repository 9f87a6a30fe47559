//! Copies a schema to files, and from there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use futures_util::TryStreamExt;
use sqlx::PgConnection;

use super::{
    CloneStage,
    copy::{Copied, Copying, Source, restore, set_path},
    error::failed,
    packed::{Packed, PackedSequence, PackedTable, name_of_rows},
    plan::{Plan, Table, Values},
    row_file::{FileReader, FileWriter, refused},
    rows::{RECEIVED, copy_in_sql, copy_out_sql, receive_sql, received_copy_sql, received_sql},
    sequences,
    settings::set_up,
    verify,
};
use crate::{error::Error, rows::file::rows_in};

/// The tables with their files, and the sequences.
pub(crate) type Contents = (Vec<PackedTable>, Vec<PackedSequence>);

impl Copying<'_> {
    /// Writes the rows of all tables to files below a folder. The open transaction of the source has one snapshot.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::ErrorKind::Busy) if the source was altered meanwhile.
    pub(crate) async fn pack(
        mut self,
        source: &mut Source<'_>,
        folder: &Path,
    ) -> Result<Contents, Error> {
        self.hold_source(source.conn).await?;
        set_up(source.conn, self.options.lock_timeout).await?;
        // Names of the source are printed with their schema.
        set_path(source.conn, &[]).await?;
        self.counter.begin(CloneStage::Rows);
        let mut tables = Vec::with_capacity(self.plan.tables.len());
        for (place, table) in self.plan.tables.iter().enumerate() {
            let packed = self.write(source.conn, table, folder, name_of_rows(place)).await?;
            self.note_table(&table.name, packed.rows);
            tables.push(packed);
        }
        let names = &self.plan.sequences;
        let positions = sequences::read(self.way(), names, source.conn).await?;
        let sequences = positions.into_iter().filter_map(|(place, last_value, is_called)| {
            let name = names.get(usize::try_from(place).ok()?)?.clone();
            Some(PackedSequence { name, last_value, is_called })
        });
        let sequences = sequences.collect();
        verify::is_unchanged(source.conn, self.ends.from, self.ends.model).await?;
        Ok((tables, sequences))
    }

    async fn write(
        &mut self,
        conn: &mut PgConnection,
        table: &Table,
        folder: &Path,
        name: String,
    ) -> Result<PackedTable, Error> {
        let unread = |error| failed(format!("reading the rows of the table {}", table.name), error);
        let sql = copy_out_sql(self.way(), table, None);
        let mut pieces = conn.copy_out_raw(sql.as_str()).await.map_err(unread)?;
        let mut file = FileWriter::create(folder, name).await?;
        let mut rows = 0;
        while let Some(piece) = pieces.try_next().await.map_err(unread)? {
            rows += rows_in(&piece);
            file.write(&piece).await?;
            self.note_bytes(&table.name, piece.len());
        }
        let file = file.end().await?;
        let columns = table.columns.iter().map(|column| column.name.clone()).collect();
        Ok(PackedTable { name: table.name.clone(), columns, rows, file })
    }

    /// Creates the schema from files, in the open transaction.
    ///
    /// # Errors
    ///
    /// [`Archive`](crate::ErrorKind::Archive) if a file is not as it was written, or has other rows than the server
    /// reads in it.
    pub(crate) async fn unpack(
        mut self,
        writer: &mut PgConnection,
        packed: &Packed,
    ) -> Result<Copied, Error> {
        let files = self.plan.files(packed)?;
        let positions = self.plan.positions(packed)?;
        let before = set_up(writer, self.options.lock_timeout).await?;
        self.structure(writer).await?;
        self.counter.begin(CloneStage::Rows);
        set_path(writer, std::slice::from_ref(&self.ends.to.schema)).await?;
        for (table, from) in files {
            self.read(writer, &table, packed, from).await?;
            self.note_table(&table.name, from.rows);
        }
        self.positions = positions;
        self.finish(writer).await?;
        self.counter.begin(CloneStage::Check);
        self.check_copy(writer, self.ends.to).await?;
        restore(writer, &before).await?;
        Ok(self.copied())
    }

    /// Copies the rows of a table from its file. Names of objects in the archived schema become those of the copy.
    async fn read(
        &mut self,
        conn: &mut PgConnection,
        table: &Table,
        packed: &Packed,
        from: &PackedTable,
    ) -> Result<(), Error> {
        let way = self.way();
        let unread = |error| {
            let file = &from.file.name;
            failed(
                format!("reading the rows of the table {} from the file {file}", table.name),
                error,
            )
        };
        let has_names =
            table.columns.iter().any(|column| matches!(column.values, Values::Names(_)));
        let into = match has_names {
            true => {
                let sql = receive_sql(way.to, table);
                sqlx::raw_sql(sql).execute(&mut *conn).await.map_err(unread)?;
                received_copy_sql(table)
            }
            false => copy_in_sql(way, table),
        };
        let mut file = FileReader::open(&packed.folder, &from.file).await?;
        let mut copy = conn.copy_in_raw(into.as_str()).await.map_err(unread)?;
        let sent = async {
            while let Some(piece) = file.next().await? {
                copy.send(piece).await.map_err(unread)?;
                self.note_bytes(&table.name, piece.len());
            }
            Ok(())
        };
        let mut rows = match sent.await {
            Ok(()) => copy.finish().await.map_err(unread)?,
            Err(error) => {
                // The server only responds that the copy was aborted.
                drop(copy.abort("the file cannot be used").await);
                return Err(error);
            }
        };
        if has_names {
            let inserted = sqlx::raw_sql(received_sql(way, table)).execute(&mut *conn).await;
            rows = inserted.map_err(unread)?.rows_affected();
            sqlx::raw_sql(RECEIVED).execute(&mut *conn).await.map_err(unread)?;
        }
        match rows == from.rows {
            true => Ok(()),
            false => Err(refused(format!(
                "the table {} gets {rows} rows from the file {}, which had {}",
                table.name, from.file.name, from.rows
            ))),
        }
    }
}

impl Plan {
    /// Returns the tables with their files, in the order of the plan, each with its columns in the order of the file:
    /// the version that wrote the archive can have had other orders.
    ///
    /// # Errors
    ///
    /// If the files are of other tables or columns than those of the model.
    fn files<'p>(&self, packed: &'p Packed) -> Result<Vec<(Table, &'p PackedTable)>, Error> {
        let by_name: BTreeMap<_, _> =
            packed.tables.iter().map(|from| (from.name.as_str(), from)).collect();
        let files = self.tables.iter().map(|table| {
            let from = *by_name.get(table.name.as_str())?;
            Some((table.with_columns(&from.columns)?, from))
        });
        // With as many names, none is there twice.
        let are_as_many = [packed.tables.len(), by_name.len()] == [self.tables.len(); 2];
        let files = files.collect::<Option<Vec<_>>>().filter(|_| are_as_many);
        files.ok_or_else(|| refused("it is damaged: its tables are not those of its structure"))
    }

    /// Returns the positions by the places of the sequences in the plan.
    ///
    /// # Errors
    ///
    /// If they are of other sequences than those of the model: one without a position would start again.
    fn positions(&self, packed: &Packed) -> Result<Vec<sequences::Position>, Error> {
        let by_name: BTreeMap<_, _> =
            packed.sequences.iter().map(|from| (from.name.as_str(), from)).collect();
        let positions = (0..).zip(&self.sequences).map(|(place, name)| {
            let from = by_name.get(name.as_str())?;
            Some((place, from.last_value, from.is_called))
        });
        let are_as_many = [packed.sequences.len(), by_name.len()] == [self.sequences.len(); 2];
        let positions = positions.collect::<Option<Vec<_>>>().filter(|_| are_as_many);
        positions
            .ok_or_else(|| refused("it is damaged: its sequences are not those of its structure"))
    }
}

impl Table {
    /// Returns the table with its columns in another order. `None` if these are not its columns.
    fn with_columns(&self, names: &[String]) -> Option<Self> {
        let column = |name: &String| self.columns.iter().find(|column| column.name == *name);
        let columns = names.iter().map(|name| column(name).cloned()).collect::<Option<Vec<_>>>()?;
        let different: BTreeSet<_> = names.iter().collect();
        let are_all = [names.len(), different.len()] == [self.columns.len(); 2];
        are_all.then(|| Self { columns, ..self.clone() })
    }
}
