//! Copies a schema: the steps, in order.

use std::collections::BTreeMap;

use sqlx::{
    PgConnection, Row,
    postgres::{PgDatabaseError, PgErrorPosition},
};

use super::{
    AnonymizeReport, CloneOptions, CloneStage, ClonedTable, Masking, Plan,
    error::{failed, failed_in_secret, refused},
    masking::Places,
    plan::{Read, Table},
    progress::Counter,
    rows::{Kept, Way, insert_sql, qualified},
    sequences,
    settings::{Before, in_snapshot_sql, limits_sql, set_up, unlimited_sql},
    shared::Shared,
    stream::stream,
    subset::Subset,
    verify,
};
use crate::{
    citus,
    error::Error,
    migrate::run_script,
    schema::{SchemaModel, read::Subject},
    sql::{Sql, printed_by_server},
    tenant::Ident,
};

/// The source schema, as it was read, and the schema to create.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends<'a> {
    pub(crate) from: &'a Subject,
    pub(crate) model: &'a SchemaModel,
    pub(crate) to: &'a Subject,
}

/// A copy in progress. Nothing of it lasts unless the transaction of the writing connection is committed.
pub(crate) struct Copying<'a> {
    pub(super) ends: Ends<'a>,
    pub(super) plan: &'a Plan,
    pub(super) options: &'a CloneOptions,
    pub(super) counter: Counter,
    /// The positions of the source's sequences.
    pub(super) positions: Vec<sequences::Position>,
    pub(super) masking: Option<Masking>,
    /// The tables that all tenants share, if the rows are collected from there.
    pub(super) shared: Option<&'a Shared>,
    anonymized: Option<AnonymizeReport>,
    remarks: Vec<String>,
    tables: Vec<ClonedTable>,
}

/// The connection that reads the source.
pub(crate) struct Source<'a> {
    pub(crate) conn: &'a mut PgConnection,
    /// The search path for names in the expressions of masks.
    pub(crate) path: &'a [Ident],
}

impl<'a> Copying<'a> {
    pub(crate) fn new(
        ends: Ends<'a>,
        plan: &'a Plan,
        options: &'a CloneOptions,
        masking: Option<Masking>,
    ) -> Self {
        let tables = if options.data { plan.tables.len() } else { 0 };
        let counter = Counter::new(options.on_progress.clone(), tables);
        let remarks = plan.remarks.clone();
        Self {
            ends,
            plan,
            options,
            counter,
            positions: Vec::new(),
            masking,
            shared: None,
            anonymized: None,
            remarks,
            tables: Vec::new(),
        }
    }

    pub(super) fn way(&self) -> Way<'a> {
        Way { from: self.ends.from, to: self.ends.to }
    }

    /// Returns the schema in which names of the source are looked up.
    fn home(&self) -> &'a Ident {
        self.shared.map_or(&self.ends.from.schema, |shared| &shared.schema)
    }

    /// Copies within a server, on one connection whose transaction has one snapshot.
    pub(crate) async fn within(mut self, conn: &mut PgConnection) -> Result<Copied, Error> {
        if self.options.data {
            self.hold_source(conn).await?;
        }
        let before = set_up(conn, self.options.lock_timeout).await?;
        self.structure(conn).await?;
        self.counter.begin(CloneStage::Rows);
        let subset = Subset::choose(self.way(), self.home(), self.plan, conn).await?;
        // Names of the source are printed with their schema, and names of the copy are resolved.
        set_path(conn, std::slice::from_ref(&self.ends.to.schema)).await?;
        let sizes = self.sizes(conn).await?;
        for table in &self.plan.tables {
            let rows = insert(conn, self.way(), table, subset.of(table)).await?;
            self.counter.bytes += sizes.get(&table.name).copied().unwrap_or_default();
            self.note_table(&table.name, rows);
        }
        self.positions = sequences::read(self.way(), &self.plan.sequences, conn).await?;
        self.finish(conn).await?;
        self.counter.begin(CloneStage::Check);
        self.check_within(conn, self.ends.to).await?;
        restore(conn, &before).await?;
        Ok(self.copied())
    }

    /// Copies with a connection that reads and one that writes, on the same server or on different ones. Rows that
    /// need not pass through this process are copied by the server, from the same snapshot. The reading transaction
    /// has one snapshot.
    pub(crate) async fn across(
        mut self,
        source: &mut Source<'_>,
        writer: &mut PgConnection,
        is_within: bool,
    ) -> Result<Copied, Error> {
        if self.options.data {
            self.hold_source(source.conn).await?;
        }
        if is_within && self.options.data {
            share_snapshot(source.conn, writer).await?;
        }
        set_up(source.conn, self.options.lock_timeout).await?;
        let before = set_up(writer, self.options.lock_timeout).await?;
        self.suspect(source.conn).await?;
        self.structure(writer).await?;
        self.try_out(writer).await?;
        self.copy_rows(source, writer, is_within).await?;
        self.positions = sequences::read(self.way(), &self.plan.sequences, source.conn).await?;
        self.finish(writer).await?;
        self.prove(source.conn, writer, is_within).await?;
        self.counter.begin(CloneStage::Check);
        match is_within {
            true => self.check_within(writer, self.ends.to).await?,
            false => self.check_between(source.conn, writer, self.ends.to).await?,
        }
        restore(writer, &before).await?;
        Ok(self.copied())
    }

    /// Copies from a source that does not change any more, to another server. Without a source, creates the empty
    /// schema. Afterwards, names are printed with their schema.
    pub(crate) async fn unchanging(
        mut self,
        source: Option<&mut Source<'_>>,
        writer: &mut PgConnection,
    ) -> Result<Copied, Error> {
        let before = set_up(writer, self.options.lock_timeout).await?;
        self.structure(writer).await?;
        if let Some(source) = source {
            set_up(source.conn, self.options.lock_timeout).await?;
            self.copy_rows(source, writer, false).await?;
            self.positions = sequences::read(self.way(), &self.plan.sequences, source.conn).await?;
        }
        self.finish(writer).await?;
        self.counter.begin(CloneStage::Check);
        self.check_copy(writer, self.ends.to).await?;
        restore(writer, &before).await?;
        Ok(self.copied())
    }

    /// Verifies that the structure of a copy equals its source. Returns what is worded differently.
    pub(crate) async fn checking(
        mut self,
        writer: &mut PgConnection,
    ) -> Result<Vec<String>, Error> {
        let before = set_up(writer, self.options.lock_timeout).await?;
        self.check_copy(writer, self.ends.to).await?;
        restore(writer, &before).await?;
        Ok(self.copied().remarks)
    }

    /// Completes a copy whose structure has been [checked](Self::checking) and whose rows have arrived in another way,
    /// from a source that does not change any more.
    pub(crate) async fn completing(
        mut self,
        source: &mut Source<'_>,
        writer: &mut PgConnection,
    ) -> Result<Copied, Error> {
        set_up(source.conn, self.options.lock_timeout).await?;
        let before = set_up(writer, self.options.lock_timeout).await?;
        self.positions = sequences::read(self.way(), &self.plan.sequences, source.conn).await?;
        self.fill(writer).await?;
        restore(writer, &before).await?;
        Ok(self.copied())
    }

    /// Finds columns of the source that look personal and have no rule.
    pub(super) async fn suspect(&mut self, source: &mut PgConnection) -> Result<(), Error> {
        let Some(masking) = &mut self.masking else { return Ok(()) };
        let Ends { from, model, .. } = self.ends;
        masking.suspect(source, &from.schema, model, &self.plan.tables).await
    }

    /// Verifies that the check constraints of the copy accept the masks.
    pub(super) async fn try_out(&self, copy: &mut PgConnection) -> Result<(), Error> {
        let Some(masking) = &self.masking else { return Ok(()) };
        let Ends { to, model, .. } = self.ends;
        let home = self.shared.map_or(&to.schema, |shared| &shared.schema);
        masking.try_out(copy, home, model).await
    }

    async fn copy_rows(
        &mut self,
        source: &mut Source<'_>,
        writer: &mut PgConnection,
        is_within: bool,
    ) -> Result<(), Error> {
        self.counter.begin(CloneStage::Rows);
        let subset = self.choose(source).await?;
        for table in &self.plan.tables {
            match is_within && !table.is_masked && subset.of(table).is_none() {
                true => {
                    let rows = insert(writer, self.way(), table, None).await?;
                    self.note_table(&table.name, rows);
                }
                false => self.stream(source, writer, table, subset.of(table)).await?,
            }
        }
        Ok(())
    }

    /// Lists the rows to copy, if not all are copied. Afterwards, names of the source are printed with their schema.
    pub(super) async fn choose(&self, source: &mut Source<'_>) -> Result<Subset, Error> {
        let subset = Subset::choose(self.way(), self.home(), self.plan, source.conn).await?;
        set_path(source.conn, &[]).await?;
        Ok(subset)
    }

    /// Copies the rows of a table through this process, and masks them.
    pub(super) async fn stream(
        &mut self,
        source: &mut Source<'_>,
        writer: &mut PgConnection,
        table: &Table,
        kept: Option<Kept>,
    ) -> Result<(), Error> {
        let masker = self.masking.as_mut().and_then(|masking| masking.masker(table));
        let is_computed =
            table.columns.iter().any(|column| matches!(column.read, Read::Expression(_)));
        if is_computed {
            set_path(source.conn, source.path).await?;
        }
        let (way, counter) = (self.way(), &mut self.counter);
        let streamed = stream(way, table, kept, source.conn, writer, counter, masker);
        let (rows, masker) = streamed.await?;
        if let (Some(masking), Some(masker)) = (&mut self.masking, masker) {
            masking.note(table, masker);
        }
        if is_computed {
            set_path(source.conn, &[]).await?;
        }
        self.note_table(&table.name, rows);
        Ok(())
    }

    /// Proves that the copy contains no value that was masked.
    pub(super) async fn prove(
        &mut self,
        source: &mut PgConnection,
        copy: &mut PgConnection,
        is_within: bool,
    ) -> Result<(), Error> {
        let Some(masking) = self.masking.take() else { return Ok(()) };
        self.counter.begin(CloneStage::Proof);
        let Ends { from, to, model, .. } = self.ends;
        let statements = &self.plan.statements;
        let (source_schema, copy_schema, shared) = (&from.schema, &to.schema, self.shared);
        let places = Places {
            source: source_schema,
            copy: copy_schema,
            model,
            statements,
            is_within,
            shared,
        };
        let rows = self.tables.iter().map(|table| (table.name.clone(), table.rows)).collect();
        self.anonymized = Some(masking.prove(source, copy, places, &rows).await?);
        Ok(())
    }

    /// Verifies that a copy on the same server equals its source, and does not depend on it.
    pub(super) async fn check_within(
        &mut self,
        conn: &mut PgConnection,
        to: &Subject,
    ) -> Result<(), Error> {
        let Ends { from, model, .. } = self.ends;
        let is_alike = verify::are_alike(conn, from, model, to).await?;
        if !is_alike {
            let is_renamed = to != self.ends.to;
            let found = verify::make_alike(conn, model, to, is_renamed).await?;
            self.remark(found);
        }
        self.refuse_references(conn, to, is_alike).await
    }

    /// Verifies that a copy on another server equals its source.
    pub(super) async fn check_between(
        &mut self,
        reader: &mut PgConnection,
        writer: &mut PgConnection,
        to: &Subject,
    ) -> Result<(), Error> {
        let Ends { from, model, .. } = self.ends;
        // The source is the same as before, or the copy is of nothing that has ever been.
        verify::is_unchanged(reader, from, model).await?;
        self.check_copy(writer, to).await
    }

    /// Verifies that a copy on another server equals the model of its source.
    pub(super) async fn check_copy(
        &mut self,
        writer: &mut PgConnection,
        to: &Subject,
    ) -> Result<(), Error> {
        let model = self.ends.model;
        let found = verify::read(writer, to).await?;
        if found.server_version == model.server_version {
            let is_renamed = to != self.ends.to;
            let found = verify::make_alike(writer, model, to, is_renamed).await?;
            self.remark(found);
            return Ok(());
        }
        let version = found.server_version;
        let differences = verify::differences(model, &found);
        self.remarks.extend(
            differences
                .map(|found| format!("PostgreSQL {} describes it differently: {found}", version)),
        );
        Ok(())
    }

    /// Locks the tables of the source against `alter table` until the end of the transaction. The snapshot must be
    /// taken after that: a table that is rewritten in between looks empty to an earlier snapshot.
    pub(super) async fn hold_source(&self, conn: &mut PgConnection) -> Result<(), Error> {
        let mut sql = Sql::default();
        limits_sql(&mut sql, self.options.lock_timeout);
        for (index, table) in self.plan.tables.iter().enumerate() {
            sql.text(if index == 0 { "lock table only " } else { ", only " });
            qualified(&mut sql, &self.ends.from.schema, &table.name);
        }
        if !self.plan.tables.is_empty() {
            sql.text(" in access share mode; ");
        }
        unlimited_sql(&mut sql);
        let held = sqlx::raw_sql(sql.finish()).execute(conn).await;
        held.map(drop).map_err(|error| failed("locking the tables of the source".into(), error))
    }

    pub(super) async fn structure(&mut self, conn: &mut PgConnection) -> Result<(), Error> {
        self.counter.begin(CloneStage::Structure);
        let mut created = 0;
        run_all(conn, &self.plan.statements.before, &mut created).await.map_err(|error| {
            // The first statement creates the schema. If one of them is not understood, none has run.
            match misunderstood(&self.plan.statements.before, &error).unwrap_or(created) {
                0 => Error::schema_taken(error).unwrap_or_else(|error| {
                    failed("creating the schema of the copy".into(), error)
                }),
                at => about(&self.plan.statements.before, at, error, false),
            }
        })
    }

    /// Creates the objects that come after the rows.
    pub(super) async fn finish(&mut self, conn: &mut PgConnection) -> Result<(), Error> {
        self.counter.begin(CloneStage::Indexes);
        let after = &self.plan.statements.after;
        let mut sql = Sql::new("set local search_path to ");
        sql.ident(&self.ends.to.schema);
        let set = sqlx::raw_sql(sql.finish()).execute(&mut *conn).await;
        set.map_err(|error| failed("setting up a session".into(), error))?;
        let mut created = 0;
        let run = run_all(conn, after, &mut created).await;
        let is_secret = self.options.anonymize.is_some();
        run.map_err(|error| about(after, created, error, is_secret))?;
        self.fill(conn).await
    }

    /// Sets sequences, and populates materialized views.
    pub(super) async fn fill(&mut self, conn: &mut PgConnection) -> Result<(), Error> {
        sequences::set(self.way(), &self.plan.sequences, &self.positions, conn).await?;
        self.counter.begin(CloneStage::Views);
        for view in &self.plan.views {
            // It is populated with its owner's view of the rows, whatever policies apply.
            let mut sql = Sql::new("set local row_security to on; refresh materialized view ");
            qualified(&mut sql, &self.ends.to.schema, view);
            let filled = sqlx::raw_sql(sql.finish()).execute(&mut *conn).await;
            filled
                .map_err(|error| failed(format!("filling the materialized view {view}"), error))?;
        }
        Ok(())
    }

    /// Reports expressions that are worded differently.
    pub(super) fn remark(&mut self, compared: verify::Compared) {
        let told = compared.reworded.iter().map(|found| {
            format!("has the same meaning in a different wording, because the server reprints it: {found}")
        });
        self.remarks.extend(told);
    }

    pub(super) fn note_table(&mut self, name: &str, rows: u64) {
        if !self.options.data {
            return;
        }
        self.counter.tables += 1;
        self.counter.rows += rows;
        self.counter.tell(Some(name));
        self.tables.push(ClonedTable { name: name.to_owned(), rows });
    }

    /// Counts bytes of a table that pass through this process, and reports progress from time to time.
    pub(super) fn note_bytes(&mut self, name: &str, bytes: usize) {
        self.counter.add(name, bytes as u64);
    }

    /// Returns the sizes of the source's tables in bytes, for the progress.
    pub(super) async fn sizes(
        &self,
        conn: &mut PgConnection,
    ) -> Result<BTreeMap<String, u64>, Error> {
        if !self.options.data || self.options.on_progress.is_none() {
            return Ok(BTreeMap::new());
        }
        let query = sqlx::query(
            "select c.relname::pg_catalog.text, pg_catalog.pg_table_size(c.oid) from pg_catalog.pg_class c \
             join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
             where n.nspname operator(pg_catalog.=) $1::pg_catalog.name and c.relkind operator(pg_catalog.=) 'r'",
        );
        let rows =
            query.bind(self.ends.from.schema.as_str()).persistent(false).fetch_all(conn).await?;
        let size = |row: &sqlx::postgres::PgRow| {
            Ok((row.try_get(0)?, u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default()))
        };
        Ok(rows.iter().map(size).collect::<sqlx::Result<_>>()?)
    }

    /// Finds references from the copy to the source, which would show one tenant the rows of another.
    pub(super) async fn refuse_references(
        &mut self,
        conn: &mut PgConnection,
        to: &Subject,
        is_alike: bool,
    ) -> Result<(), Error> {
        let from = &self.ends.from.schema;
        let found = verify::references(conn, from, &to.schema, is_alike).await?;
        if let Some(hard) = found.hard.first() {
            return Err(refused(format!("the copy would depend on its source: {hard}")));
        }
        self.remarks
            .extend(found.texts.iter().map(|text| format!("still names the source: {text}")));
        Ok(())
    }

    pub(super) fn copied(self) -> Copied {
        let Self { remarks, tables, plan, anonymized, .. } = self;
        Copied { remarks, tables, anonymized, objects: plan.objects }
    }
}

/// The result of a copy.
#[derive(Debug)]
pub(crate) struct Copied {
    pub(crate) objects: usize,
    pub(crate) tables: Vec<ClonedTable>,
    pub(crate) anonymized: Option<AnonymizeReport>,
    pub(crate) remarks: Vec<String>,
}

/// Copies the rows of a table within a server, and returns their number.
pub(super) async fn insert(
    conn: &mut PgConnection,
    way: Way<'_>,
    table: &Table,
    kept: Option<Kept>,
) -> Result<u64, Error> {
    let copied = sqlx::raw_sql(insert_sql(way, table, kept)).execute(conn).await;
    let attempted = || format!("copying the rows of the table {}", table.name);
    copied.map(|copied| copied.rows_affected()).map_err(|error| failed(attempted(), error))
}

/// Exports the snapshot of the open transaction.
pub(crate) async fn export(conn: &mut PgConnection) -> Result<String, Error> {
    let snapshot = "select pg_catalog.pg_export_snapshot()";
    Ok(sqlx::raw_sql(snapshot).fetch_one(conn).await?.try_get(0)?)
}

/// Appends the statements that import a snapshot. They must come first in a transaction.
pub(crate) fn share_sql(sql: &mut Sql, snapshot: &str) {
    in_snapshot_sql(sql);
    sql.text("set transaction snapshot ").literal(snapshot).text("; ");
}

/// Has the open transaction of another connection read from the same snapshot.
async fn share_snapshot(from: &mut PgConnection, with: &mut PgConnection) -> Result<(), Error> {
    let snapshot = export(from).await?;
    let mut sql = Sql::default();
    share_sql(&mut sql, &snapshot);
    let shared = sqlx::raw_sql(sql.finish()).execute(with).await;
    shared.map(drop).map_err(|error| failed("sharing the snapshot of the source".into(), error))
}

pub(super) async fn set_path(conn: &mut PgConnection, path: &[Ident]) -> Result<(), Error> {
    let mut sql = Sql::new("set local search_path to ");
    match path {
        [] => sql.text("pg_catalog"),
        path => sql.idents(path),
    };
    let set = sqlx::raw_sql(sql.finish()).execute(conn).await;
    set.map(drop).map_err(|error| failed("setting up a session".into(), error))
}

/// Restores the settings, for the rest of the transaction.
pub(super) async fn restore(conn: &mut PgConnection, before: &Before) -> Result<(), Error> {
    let mut sql = Sql::default();
    before.restore_sql(&mut sql);
    let restored = sqlx::raw_sql(sql.finish()).execute(conn).await;
    restored.map(drop).map_err(|error| failed("restoring the settings of a session".into(), error))
}

/// What is between statements in one string.
const SEPARATOR: &str = ";\n";

/// Runs statements as one string, and counts the completed ones. A coordinator of Citus passes the whole string on to
/// workers for a foreign key to a table that all have, and they take one statement only.
pub(super) async fn run_all(
    conn: &mut PgConnection,
    statements: &[String],
    ended: &mut usize,
) -> sqlx::Result<()> {
    if statements.is_empty() {
        return Ok(());
    }
    let has_keys = statements.iter().any(|statement| statement.contains(" REFERENCES "));
    if !has_keys || citus::ask(&mut *conn).await?.is_none() {
        return run_script(conn, printed_by_server(statements.join(SEPARATOR)), ended).await;
    }
    for statement in statements {
        run_script(&mut *conn, printed_by_server(statement.clone()), ended).await?;
    }
    Ok(())
}

/// Returns the place of the statement that the server does not understand: it reads all before it runs the first.
fn misunderstood(statements: &[String], error: &sqlx::Error) -> Option<usize> {
    let answer = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    let Some(PgErrorPosition::Original(position)) = answer.position() else { return None };
    let mut end = 0;
    let at = statements.iter().position(|statement| {
        end += statement.chars().count() + SEPARATOR.len();
        position <= end
    });
    at.filter(|_| answer.code() == "42601")
}

/// Names the statement that failed. For a masked copy the server's message is dropped, because it may quote values.
pub(super) fn about(
    statements: &[String],
    ended: usize,
    error: sqlx::Error,
    is_secret: bool,
) -> Error {
    let at = misunderstood(statements, &error).unwrap_or(ended);
    let statement = statements.get(at).map(String::as_str).unwrap_or_default();
    let line = statement.lines().next().unwrap_or_default();
    let short: String = line.chars().take(120).collect();
    let attempted = format!("running `{short}` for the copy");
    match is_secret {
        true => failed_in_secret(attempted, error),
        false => failed(attempted, error),
    }
}
