//! Copies a schema in many transactions, if one transaction would need more locks than the server has, or if several
//! connections copy rows. The copy has another name until it is complete.

use std::collections::VecDeque;

use futures_util::future::try_join_all;
use parking_lot::Mutex;
use sqlx::PgConnection;

use super::{
    CloneStage,
    copy::{Copied, Copying, Source, about, export, insert, run_all, share_sql},
    error::failed,
    plan::{Rows, Table},
    rows::Kept,
    sequences,
    settings::{session_sql, set_up},
};
use crate::{error::Error, pool::Lease, schema::read::Subject, sql::Sql};

/// The number of statements per transaction. Each can take about five locks.
const STATEMENTS: usize = 200;

/// The number of tables whose rows are copied per transaction.
const TABLES: usize = 50;

impl Copying<'_> {
    /// Creates the objects that rows need, in an existing schema.
    pub(crate) async fn structure_in_steps(
        &mut self,
        conn: &mut PgConnection,
    ) -> Result<(), Error> {
        self.counter.begin(CloneStage::Structure);
        // The schema has its comment when it is whole.
        let is_there = |statement: &&String| {
            !statement.starts_with("create schema ") && !statement.starts_with("comment on schema ")
        };
        let statements: Vec<_> =
            self.plan.statements.before.iter().filter(is_there).cloned().collect();
        self.run_in_steps(conn, &statements).await
    }

    /// Copies the rows that belong to the structure, within a server.
    pub(crate) async fn records_in_steps(&mut self, conn: &mut PgConnection) -> Result<(), Error> {
        for table in &self.plan.tables {
            insert(conn, self.way(), table, None).await?;
        }
        Ok(())
    }

    /// Copies rows from one snapshot, which the reading connection exports. Masked rows and subsets stream through
    /// this process to the first writing connection.
    pub(crate) async fn rows_in_steps(
        &mut self,
        source: &mut Source<'_>,
        mut writers: Vec<&mut Lease>,
        is_within: bool,
    ) -> Result<(), Error> {
        self.hold_source(source.conn).await?;
        set_up(source.conn, self.options.lock_timeout).await?;
        self.suspect(source.conn).await?;
        self.counter.begin(CloneStage::Rows);
        let subset = self.choose(source).await?;
        let (apart, together): (Vec<&Table>, Vec<&Table>) = self
            .plan
            .tables
            .iter()
            .partition(|table| !is_within || table.is_masked || subset.of(table).is_some());
        if let Some(writer) = writers.first_mut() {
            self.try_out(writer).await?;
            for table in apart.into_iter().filter(|table| table.rows != Rows::None) {
                self.stream_in_a_step(source, writer, table, subset.of(table)).await?;
            }
        }
        if !together.is_empty() {
            self.insert_in_steps(source.conn, writers, &together).await?;
        }
        self.positions = sequences::read(self.way(), &self.plan.sequences, source.conn).await?;
        Ok(())
    }

    async fn stream_in_a_step(
        &mut self,
        source: &mut Source<'_>,
        writer: &mut PgConnection,
        table: &Table,
        kept: Option<Kept>,
    ) -> Result<(), Error> {
        let mut sql = Sql::new("begin; ");
        session_sql(&mut sql, self.options.lock_timeout);
        sql.text("set local search_path to ").ident(&self.ends.to.schema);
        sqlx::raw_sql(sql.finish()).execute(&mut *writer).await?;
        self.stream(source, writer, table, kept).await?;
        sqlx::raw_sql("commit").execute(writer).await?;
        Ok(())
    }

    /// Has the server copy tables, over several connections that share the snapshot of the reading one.
    async fn insert_in_steps(
        &mut self,
        reader: &mut PgConnection,
        writers: Vec<&mut Lease>,
        tables: &[&Table],
    ) -> Result<(), Error> {
        let snapshot = export(reader).await?;
        let sizes = self.sizes(reader).await?;
        let queue = Mutex::new(tables.chunks(TABLES).collect::<VecDeque<_>>());
        let (way, limit) = (self.way(), self.options.lock_timeout);
        let copying = Mutex::new(self);
        let note = |table: &Table, rows| {
            let mut copying = copying.lock();
            copying.counter.bytes += sizes.get(&table.name).copied().unwrap_or_default();
            copying.note_table(&table.name, rows);
        };
        let work = async |writer: &mut Lease| {
            loop {
                let Some(tables) = queue.lock().pop_front() else { return Ok::<_, Error>(()) };
                let mut sql = Sql::new("begin; ");
                share_sql(&mut sql, &snapshot);
                session_sql(&mut sql, limit);
                // Types of the copy are resolved in it.
                sql.text("set local search_path to ").ident(&way.to.schema);
                let begun = sqlx::raw_sql(sql.finish()).execute(&mut **writer).await;
                begun.map_err(|e| failed("sharing the snapshot of the source".into(), e))?;
                for table in tables {
                    note(table, insert(writer, way, table, None).await?);
                }
                sqlx::raw_sql("commit").execute(&mut **writer).await?;
            }
        };
        try_join_all(writers.into_iter().map(work)).await?;
        Ok(())
    }

    /// Creates the objects that come after the rows.
    pub(crate) async fn finish_in_steps(
        &mut self,
        conn: &mut PgConnection,
        source: Option<&mut PgConnection>,
        is_within: bool,
    ) -> Result<(), Error> {
        self.counter.begin(CloneStage::Indexes);
        self.run_in_steps(conn, &self.plan.statements.after).await?;
        self.fill(conn).await?;
        match source {
            Some(source) => self.prove(source, conn, is_within).await,
            None => Ok(()),
        }
    }

    /// Adjusts texts that contain the copy's name, in the transaction that renames the copy.
    pub(crate) async fn end_in_steps(
        mut self,
        conn: &mut PgConnection,
        reader: Option<&mut PgConnection>,
        named: &Subject,
    ) -> Result<Copied, Error> {
        self.counter.begin(CloneStage::Check);
        match reader {
            // The same server, or there are no rows.
            None => self.check_within(conn, named).await?,
            Some(reader) => self.check_between(reader, conn, named).await?,
        }
        Ok(self.copied())
    }

    /// Runs statements in transactions of some each.
    async fn run_in_steps(
        &self,
        conn: &mut PgConnection,
        statements: &[String],
    ) -> Result<(), Error> {
        for some in statements.chunks(STATEMENTS) {
            let mut sql = Sql::new("begin; ");
            session_sql(&mut sql, self.options.lock_timeout);
            sql.text("set local search_path to ").ident(&self.ends.to.schema);
            let begun = sqlx::raw_sql(sql.finish()).execute(&mut *conn).await;
            begun.map_err(|error| failed("beginning a step".into(), error))?;
            let mut ended = 0;
            let run = run_all(conn, some, &mut ended).await;
            let is_secret = self.options.anonymize.is_some();
            run.map_err(|error| about(some, ended, error, is_secret))?;
            sqlx::raw_sql("commit").execute(&mut *conn).await?;
        }
        Ok(())
    }
}
