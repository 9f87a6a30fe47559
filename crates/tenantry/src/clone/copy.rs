//! Copies a schema: the steps, in order.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row};

use super::{
    CloneOptions, CloneStage, ClonedTable, Plan,
    error::{failed, refused},
    progress::Counter,
    rows::{Way, insert_sql, qualified},
    sequences,
    settings::{Before, limits_sql, set_up, unlimited_sql},
    stream::stream,
    subset::Subset,
    verify,
};
use crate::{
    error::Error,
    migrate::run_script,
    schema::{Fingerprint, SchemaModel, read::Subject},
    sql::{Sql, printed_by_server},
};

/// The schema that is copied, as it was read, and the one that is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends<'a> {
    pub(crate) from: &'a Subject,
    pub(crate) model: &'a SchemaModel,
    pub(crate) print: &'a Fingerprint,
    pub(crate) to: &'a Subject,
}

/// A copy that is being made. Nothing of it lasts before the transaction of the writing connection is committed.
pub(crate) struct Copying<'a> {
    pub(super) ends: Ends<'a>,
    pub(super) plan: &'a Plan,
    pub(super) options: &'a CloneOptions,
    pub(super) counter: Counter,
    /// Where the sequences of the source are.
    pub(super) positions: Vec<sequences::Position>,
    remarks: Vec<String>,
    tables: Vec<ClonedTable>,
}

impl<'a> Copying<'a> {
    pub(crate) fn new(ends: Ends<'a>, plan: &'a Plan, options: &'a CloneOptions) -> Self {
        let tables = if options.data { plan.tables.len() } else { 0 };
        let counter = Counter::new(options.on_progress.clone(), tables);
        let remarks = plan.remarks.clone();
        Self { ends, plan, options, counter, positions: Vec::new(), remarks, tables: Vec::new() }
    }

    pub(super) fn way(&self) -> Way<'a> {
        Way { from: self.ends.from, to: self.ends.to }
    }

    /// Copies within a server, on one connection whose transaction sees one moment.
    pub(crate) async fn within(mut self, conn: &mut PgConnection) -> Result<Copied, Error> {
        if self.options.data {
            self.hold_source(conn).await?;
        }
        let before = set_up(conn, self.options.lock_timeout).await?;
        self.structure(conn).await?;
        self.counter.begin(CloneStage::Rows);
        let subset = Subset::choose(self.way(), self.plan, conn).await?;
        let sizes = self.sizes(conn).await?;
        for table in &self.plan.tables {
            let sql = insert_sql(self.way(), table, subset.of(table));
            let copied = sqlx::raw_sql(sql).execute(&mut *conn).await;
            let copied = copied.map_err(|error| {
                failed(format!("copying the rows of the table {}", table.name), error)
            })?;
            self.counter.bytes += sizes.get(&table.name).copied().unwrap_or_default();
            self.note_table(&table.name, copied.rows_affected());
        }
        self.positions = sequences::read(self.way(), &self.plan.sequences, conn).await?;
        self.finish(conn).await?;
        self.counter.begin(CloneStage::Check);
        let Ends { from, print, model, to } = self.ends;
        if !verify::are_alike(conn, from, print, to).await? {
            verify::make_alike(conn, model, to).await?;
        }
        self.refuse_references(conn, to).await?;
        restore(conn, &before).await?;
        Ok(self.copied())
    }

    /// Copies from one server to another. The transaction of the reading connection sees one moment.
    pub(crate) async fn between(
        mut self,
        reader: &mut PgConnection,
        writer: &mut PgConnection,
    ) -> Result<Copied, Error> {
        if self.options.data {
            self.hold_source(reader).await?;
        }
        set_up(reader, self.options.lock_timeout).await?;
        let before = set_up(writer, self.options.lock_timeout).await?;
        self.structure(writer).await?;
        self.counter.begin(CloneStage::Rows);
        let subset = Subset::choose(self.way(), self.plan, reader).await?;
        for table in &self.plan.tables {
            let kept = subset.of(table);
            let rows = stream(self.way(), table, kept, reader, writer, &mut self.counter).await?;
            self.note_table(&table.name, rows);
        }
        self.positions = sequences::read(self.way(), &self.plan.sequences, reader).await?;
        self.finish(writer).await?;
        self.counter.begin(CloneStage::Check);
        self.check_between(reader, writer, self.ends.to).await?;
        restore(writer, &before).await?;
        Ok(self.copied())
    }

    /// Makes sure that a copy in another server is what its source is.
    pub(super) async fn check_between(
        &mut self,
        reader: &mut PgConnection,
        writer: &mut PgConnection,
        to: &Subject,
    ) -> Result<(), Error> {
        let Ends { from, print, model, .. } = self.ends;
        // The source is the same as before, or the copy is of nothing that has ever been.
        verify::is_unchanged(reader, from, print).await?;
        let found = verify::read(writer, to).await?;
        if found.server_version == model.server_version {
            return verify::make_alike(writer, model, to).await.map(drop);
        }
        let version = found.server_version;
        let differences = verify::differences(model, &found);
        self.remarks.extend(
            differences.map(|found| {
                format!("PostgreSQL {} describes it in other words: {found}", version)
            }),
        );
        Ok(())
    }

    /// Keeps the tables of the source as they are until the end. The snapshot comes after that: to an earlier one, a
    /// table that was rewritten meanwhile would be empty.
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

    async fn structure(&mut self, conn: &mut PgConnection) -> Result<(), Error> {
        self.counter.begin(CloneStage::Structure);
        let mut created = 0;
        run_all(conn, &self.plan.statements.before, &mut created).await.map_err(|error| {
            // The first statement creates the schema.
            match created {
                0 => taken(error),
                _ => about(&self.plan.statements.before, created, error),
            }
        })
    }

    /// Creates what comes after the rows.
    async fn finish(&mut self, conn: &mut PgConnection) -> Result<(), Error> {
        self.counter.begin(CloneStage::Indexes);
        let after = &self.plan.statements.after;
        let mut sql = Sql::new("set local search_path to ");
        sql.ident(&self.ends.to.schema);
        let set = sqlx::raw_sql(sql.finish()).execute(&mut *conn).await;
        set.map_err(|error| failed("setting up a session".into(), error))?;
        let mut created = 0;
        let run = run_all(conn, after, &mut created).await;
        run.map_err(|error| about(after, created, error))?;
        self.fill(conn).await
    }

    /// Lets sequences continue, and fills materialized views.
    pub(super) async fn fill(&mut self, conn: &mut PgConnection) -> Result<(), Error> {
        sequences::set(self.way(), &self.plan.sequences, &self.positions, conn).await?;
        self.counter.begin(CloneStage::Views);
        for view in &self.plan.views {
            let mut sql = Sql::new("refresh materialized view ");
            qualified(&mut sql, &self.ends.to.schema, view);
            let filled = sqlx::raw_sql(sql.finish()).execute(&mut *conn).await;
            filled
                .map_err(|error| failed(format!("filling the materialized view {view}"), error))?;
        }
        Ok(())
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

    /// Returns how large the tables of the source are, in bytes, for whoever watches.
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

    /// Looks for what leads from the copy to the source: it would show one tenant the rows of another.
    pub(super) async fn refuse_references(
        &mut self,
        conn: &mut PgConnection,
        to: &Subject,
    ) -> Result<(), Error> {
        let found = verify::references(conn, &self.ends.from.schema, &to.schema).await?;
        if let Some(hard) = found.hard.first() {
            return Err(refused(format!("the copy would depend on its source: {hard}")));
        }
        self.remarks
            .extend(found.texts.iter().map(|text| format!("still names the source: {text}")));
        Ok(())
    }

    pub(super) fn copied(self) -> Copied {
        let Self { remarks, tables, plan, .. } = self;
        Copied { remarks, tables, objects: plan.objects }
    }
}

/// What was copied.
#[derive(Debug)]
pub(crate) struct Copied {
    pub(crate) objects: usize,
    pub(crate) tables: Vec<ClonedTable>,
    pub(crate) remarks: Vec<String>,
}

/// Takes the settings back, for what else is done in the transaction.
async fn restore(conn: &mut PgConnection, before: &Before) -> Result<(), Error> {
    let mut sql = Sql::default();
    before.restore_sql(&mut sql);
    let restored = sqlx::raw_sql(sql.finish()).execute(conn).await;
    restored.map(drop).map_err(|error| failed("setting a session back".into(), error))
}

/// Runs statements as one string, and counts those that have ended.
pub(super) async fn run_all(
    conn: &mut PgConnection,
    statements: &[String],
    ended: &mut usize,
) -> sqlx::Result<()> {
    match statements.is_empty() {
        true => Ok(()),
        false => run_script(conn, printed_by_server(statements.join(";\n")), ended).await,
    }
}

/// Says which statement was refused.
pub(super) fn about(statements: &[String], ended: usize, error: sqlx::Error) -> Error {
    let statement = statements.get(ended).map(String::as_str).unwrap_or_default();
    let line = statement.lines().next().unwrap_or_default();
    let short: String = line.chars().take(120).collect();
    failed(format!("running `{short}` for the copy"), error)
}

fn taken(error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some("42P06" | "23505" | "55P03") => {
            let attempted = "its schema is there, or is being created by somebody else";
            Error::new(crate::error::ErrorKind::TenantExists, attempted).with_source(error)
        }
        _ => failed("creating the schema of the copy".into(), error),
    }
}
