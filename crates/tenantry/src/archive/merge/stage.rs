//! Finds what differs, and collects it in temporary tables of the target.

use sqlx::{PgConnection, postgres::PgCopyIn};

use super::{
    Choice, Choices, MergeOptions, MergedRow, RowMerge, TableMerge, choice::Sought, report::keys,
};
use crate::{
    archive::diff::{Pair, Side, Walk},
    clone::{Reading, Staged, Write, failed},
    error::{Error, ErrorKind},
    plain::plain,
    rows::file::Counter,
    schema::read::Subject,
};

/// The size of a piece that is sent, in bytes.
const PIECE: usize = 64 * 1024;

/// The rows to write, and the beginning of the report.
pub(super) struct Stage {
    pub(super) staged: Vec<Staged>,
    pub(super) tables: Vec<TableMerge>,
}

/// Compares the chosen rows of all tables, and collects what is to be written.
pub(super) async fn stage(
    choices: &Choices,
    options: &MergeOptions,
    one: &mut Side<'_>,
    other: &mut Side<'_>,
    writer: &mut PgConnection,
) -> Result<Stage, Error> {
    let mut stage = Stage { staged: Vec::new(), tables: Vec::new() };
    let mut sought = Sought::new(choices);
    let mut counter = Counter::new(options.on_progress.as_ref(), choices.tables.len());
    for (number, choice) in choices.tables.iter().enumerate() {
        let mut table = OneTable::new(choice, options, number as u64);
        table.stage(&mut sought, &mut counter, one, other, writer).await?;
        counter.end(&choice.table.name);
        stage.tables.push(table.report);
        if table.staged.inserts + table.staged.updates + table.staged.deletes > 0 {
            stage.staged.push(table.staged);
        }
    }
    for (name, key) in sought.gone(choices)? {
        note_gone(&mut stage.tables, name, key, options.keys);
    }
    refuse_changed(&stage.tables, options)?;
    Ok(stage)
}

/// Notes a row that a comparison has listed, and that neither tenant has any longer.
fn note_gone(tables: &mut Vec<TableMerge>, name: String, key: Vec<String>, most: usize) {
    let place = tables.iter().position(|table| table.table == name);
    let place = place.unwrap_or_else(|| {
        tables.push(TableMerge { table: name, ..TableMerge::default() });
        tables.len() - 1
    });
    if let Some(table) = tables.get_mut(place) {
        note_changed(table, key, most);
    }
}

fn note_changed(table: &mut TableMerge, key: Vec<String>, most: usize) {
    table.changed += 1;
    if table.changed_keys.len() < most {
        table.changed_keys.push(key);
    }
}

fn refuse_changed(tables: &[TableMerge], options: &MergeOptions) -> Result<(), Error> {
    if options.dry_run || options.overwrite_changed {
        return Ok(());
    }
    let changed = tables.iter().filter(|table| table.changed > 0);
    let found = changed.map(|table| {
        format!("{} {}", plain(&table.table), keys(&table.changed_keys, table.changed))
    });
    let found: Vec<_> = found.take(5).collect();
    match found.is_empty() {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Merge,
            format!(
                "merging rows: these have changed since they were compared: {}: compare the tenants again, or allow it with \
                 MergeOptions::overwrite_changed",
                found.join("; ")
            ),
        )),
    }
}

/// A table whose rows are compared.
struct OneTable<'a> {
    choice: &'a Choice,
    options: &'a MergeOptions,
    staged: Staged,
    report: TableMerge,
}

impl<'a> OneTable<'a> {
    fn new(choice: &'a Choice, options: &'a MergeOptions, number: u64) -> Self {
        let table = &choice.table;
        let report = TableMerge {
            table: table.name.clone(),
            columns_only_in_source: table.only_in_first.clone(),
            columns_only_in_target: table.only_in_second.clone(),
            ..TableMerge::default()
        };
        Self { choice, options, staged: Staged::new(table.clone(), number), report }
    }

    async fn stage(
        &mut self,
        sought: &mut Sought<'a>,
        counter: &mut Counter<'_>,
        one: &mut Side<'_>,
        other: &mut Side<'_>,
        writer: &mut PgConnection,
    ) -> Result<(), Error> {
        let keys = self.choice.keys();
        let reading = Reading { keys: keys.as_deref(), with_places: false };
        let placed = Reading { with_places: true, ..reading };
        let to = other.to().clone();
        let mut walk = Walk::begin(&self.choice.table, (one, reading), (other, placed)).await?;
        let mut sink = Sink { writer: Some(writer), copy: None, buffer: Vec::new() };
        let walked = self.walk(&mut walk, sought, counter, &mut sink, &to).await;
        match (walked, sink.copy.take()) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(mut copy)) => {
                copy.send(&*sink.buffer).await.map_err(|error| unsent(&self.staged, error))?;
                copy.finish().await.map(drop).map_err(|error| unsent(&self.staged, error))
            }
            (Err(error), copy) => {
                if let Some(copy) = copy {
                    // The server only responds that the copy was aborted.
                    drop(copy.abort("the rows could not be read").await);
                }
                Err(error)
            }
        }
    }

    async fn walk(
        &mut self,
        walk: &mut Walk<'_>,
        sought: &mut Sought<'a>,
        counter: &mut Counter<'_>,
        sink: &mut Sink<'_>,
        to: &Subject,
    ) -> Result<(), Error> {
        while let Some(pair) = walk.next().await? {
            let row = pair.first.as_ref().or(pair.second.as_ref());
            counter.add(&self.choice.table.name, 1, row.map_or(0, |row| row.line.len()));
            let key = pair.key();
            sought.found(self.choice, &key);
            if let Some(write) = self.judge(&pair, key)? {
                sink.open(&self.staged, to).await?;
                sink.put(&pair, write);
                sink.send(&self.staged).await?;
                self.staged.note(write);
            }
        }
        Ok(())
    }

    /// Decides about a row, and notes it.
    fn judge(&mut self, pair: &Pair, key: Vec<String>) -> Result<Option<Write>, Error> {
        let found = pair.found();
        let verdict = self.choice.judge(found, &key, || pair.hash(), self.options.delete);
        if verdict.is_changed {
            note_changed(&mut self.report, key.clone(), self.options.keys);
        }
        if found.is_none() {
            self.report.same += 1;
            return Ok(None);
        }
        let Some(write) = verdict.write else {
            self.report.left += 1;
            return Ok(None);
        };
        let columns = pair.columns(&self.choice.table);
        if let Some(fixed) = columns.iter().find(|name| self.choice.table.fixed.contains(name)) {
            return Err(self.fixed(fixed, &key));
        }
        if self.report.rows.len() < self.options.keys {
            let done = match write {
                Write::Insert => RowMerge::Inserted,
                Write::Update => RowMerge::Updated,
                Write::Delete => RowMerge::Deleted,
            };
            self.report.rows.push(MergedRow { key, done, columns });
        }
        Ok(Some(write))
    }

    fn fixed(&self, column: &str, key: &[String]) -> Error {
        let (table, column) = (plain(&self.choice.table.name), plain(column));
        let key = plain(&key.join(", "));
        let attempted = format!(
            "merging rows: the row ({key}) of the table {table} has another value in the column {column}, which is \
             `generated always as identity`: PostgreSQL does not let it be updated"
        );
        Error::new(ErrorKind::Merge, attempted)
    }
}

/// The temporary table of a table, which is created when there is a row for it.
struct Sink<'a> {
    writer: Option<&'a mut PgConnection>,
    copy: Option<PgCopyIn<&'a mut PgConnection>>,
    buffer: Vec<u8>,
}

impl Sink<'_> {
    async fn open(&mut self, staged: &Staged, to: &Subject) -> Result<(), Error> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let created = sqlx::raw_sql(staged.create_sql(to)).execute(&mut *writer).await;
        created.map_err(|error| unsent(staged, error))?;
        let copy = writer.copy_in_raw(staged.copy_sql().as_str()).await;
        self.copy = Some(copy.map_err(|error| unsent(staged, error))?);
        Ok(())
    }

    /// Adds a line: the place, what to do, and the values. A row that is deleted has its own.
    fn put(&mut self, pair: &Pair, write: Write) {
        let row = match write {
            Write::Insert | Write::Update => &pair.first,
            Write::Delete => &pair.second,
        };
        match &pair.second {
            Some(second) => self.buffer.extend_from_slice(&second.place),
            None => self.buffer.extend_from_slice(b"\\N"),
        }
        self.buffer.push(b'\t');
        self.buffer.extend_from_slice(write.letter().as_bytes());
        if let Some(row) = row {
            self.buffer.push(b'\t');
            self.buffer.extend_from_slice(&row.line);
        }
        self.buffer.push(b'\n');
    }

    async fn send(&mut self, staged: &Staged) -> Result<(), Error> {
        let Some(copy) = self.copy.as_mut().filter(|_| self.buffer.len() >= PIECE) else {
            return Ok(());
        };
        copy.send(&*self.buffer).await.map_err(|error| unsent(staged, error))?;
        self.buffer.clear();
        Ok(())
    }
}

fn unsent(staged: &Staged, error: sqlx::Error) -> Error {
    failed(format!("sending rows of the table {} to the target", staged.table.name), error)
}
