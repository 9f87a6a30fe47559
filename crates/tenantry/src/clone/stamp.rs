//! Creates many copies of a schema that does not change.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sqlx::{PgConnection, Row, SqlStr};

use super::{
    CloneOptions, Plan,
    rows::{Way, insert_sql, qualified, select_sql},
    sequences::{self, Position},
    settings::{Before, set_up},
    verify,
};
use crate::{
    error::{Error, ErrorKind, OptionsError},
    migrate::run_script,
    schema::{SchemaModel, read::Subject},
    sql::{Sql, printed_by_server},
    tenant::Ident,
};

/// A schema that is copied many times, with everything that is known about it.
#[derive(Debug)]
pub(crate) struct Stamp {
    subject: Subject,
    model: SchemaModel,
    /// Tables that have rows.
    filled: BTreeSet<String>,
    options: CloneOptions,
    positions: Vec<Position>,
    sequences: Vec<String>,
    /// A copy was compared with it, and was the same.
    is_proved: AtomicBool,
}

impl Stamp {
    /// Reads a schema completely.
    pub(crate) async fn of(
        conn: &mut PgConnection,
        subject: Subject,
        model: SchemaModel,
    ) -> Result<Self, Error> {
        let options = CloneOptions::default().data(true);
        let plan = Plan::new(&model, &options, &subject.schema, None).map_err(never)?;
        let way = Way { from: &subject, to: &subject };
        let mut filled = BTreeSet::new();
        for table in &plan.tables {
            let mut sql = Sql::new("select exists (select from only ");
            qualified(&mut sql, &subject.schema, &table.name);
            sql.text(")");
            if sqlx::raw_sql(sql.finish()).fetch_one(&mut *conn).await?.try_get(0)? {
                filled.insert(table.name.clone());
            }
        }
        let positions = sequences::read(way, &plan.sequences, conn).await?;
        // The others are at the position of a new sequence.
        let positions = positions.into_iter().filter(|(.., is_called)| *is_called).collect();
        let sequences = plan.sequences;
        let is_proved = AtomicBool::new(false);
        Ok(Self { subject, model, filled, options, positions, sequences, is_proved })
    }

    pub(crate) fn schema(&self) -> &Ident {
        &self.subject.schema
    }

    /// Creates a copy in the open transaction. `ended` counts statements; the first one creates the schema.
    pub(crate) async fn press(
        &self,
        conn: &mut PgConnection,
        to: &Subject,
        lock_timeout: Duration,
        ended: &mut usize,
    ) -> Result<(), PressError> {
        let before = set_up(conn, lock_timeout).await.map_err(PressError::Failed)?;
        run_script(conn, self.sql(to, &before).map_err(PressError::Failed)?, ended).await?;
        Ok(())
    }

    /// Verifies the first copy: the others are created by the same statements.
    pub(crate) async fn check_once(
        &self,
        conn: &mut PgConnection,
        copy: &Subject,
    ) -> Result<(), Error> {
        if self.is_proved.load(Ordering::Relaxed) {
            return Ok(());
        }
        // If a copy needs repairs, each copy does.
        if !verify::make_alike(conn, &self.model, copy, false).await?.is_mended {
            self.is_proved.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn sql(&self, to: &Subject, before: &Before) -> Result<SqlStr, Error> {
        let plan = Plan::new(&self.model, &self.options, &to.schema, to.role.as_ref());
        let plan = plan.map_err(never)?;
        let way = Way { from: &self.subject, to };
        let mut script = plan.statements.before.join(";\n");
        let tables = plan.tables.iter().filter(|table| self.filled.contains(&table.name));
        for table in tables {
            script.push_str(";\n");
            script.push_str(insert_sql(way, table, None).as_str());
        }
        for statement in &plan.statements.after {
            script.push_str(";\n");
            script.push_str(statement);
        }
        script.push_str(";\n");
        let mut sql = Sql::default();
        for position in &self.positions {
            sequences::set_sql(&mut sql, way, &self.sequences, *position);
        }
        for view in &plan.views {
            sql.text("refresh materialized view ");
            qualified(&mut sql, &to.schema, view);
            sql.text("; ");
        }
        before.restore_sql(&mut sql);
        script.push_str(sql.as_str());
        Ok(printed_by_server(script))
    }
}

/// Why a copy was not made.
#[derive(Debug)]
pub(crate) enum PressError {
    Refused(sqlx::Error),
    Failed(Error),
}

impl From<sqlx::Error> for PressError {
    fn from(error: sqlx::Error) -> Self {
        Self::Refused(error)
    }
}

/// Options that name no table are always valid.
fn never(wrong: OptionsError) -> Error {
    Error::new(ErrorKind::Config, wrong.to_string()).with_source(wrong)
}

/// Finds a table whose rows differ between two schemas with the same structure. Tables in `except` are skipped.
pub(crate) async fn different_rows(
    conn: &mut PgConnection,
    model: &SchemaModel,
    one: &Subject,
    other: &Subject,
    except: &[&str],
) -> Result<Option<String>, Error> {
    let options = CloneOptions::default().data(true);
    let plan = Plan::new(model, &options, &one.schema, None).map_err(never)?;
    for table in plan.tables.iter().filter(|table| !except.contains(&&*table.name)) {
        let mut sql = Sql::new("select ");
        for (index, from) in [one, other].into_iter().enumerate() {
            sql.text(if index == 0 { "(" } else { ") operator(pg_catalog.=) (" });
            sql.text("select coalesce(pg_catalog.array_agg((t.*)::pg_catalog.text order by (t.*)::pg_catalog.text collate pg_catalog.\"C\"), '{}') from (");
            // The name of an object in its schema refers to the same object in the other schema.
            select_sql(&mut sql, Way { from, to: one }, table);
            sql.text(") as t");
        }
        sql.text(")");
        let is_same: bool = sqlx::raw_sql(sql.finish()).fetch_one(&mut *conn).await?.try_get(0)?;
        if !is_same {
            return Ok(Some(table.name.clone()));
        }
    }
    Ok(None)
}
