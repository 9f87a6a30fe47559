//! Writes changed rows at the target.
//!
//! All tables are written in one statement, after which foreign keys are checked. In a table, rows are deleted first and
//! inserted last.

use sqlx::{PgConnection, Row, SqlStr};

use super::{
    super::{
        collected::{Collected, columns},
        fit::Fit,
        tables::Table,
    },
    keys::Key,
    tree::Parts,
    why_not::Rewrite,
};
use crate::{
    catalog::{RowsOfTenant, Site},
    error::{Error, ErrorKind},
    sql::Sql,
};

/// A table whose changed rows are in temporary tables: the keys in one, and the rows that are left in another one.
pub(super) struct Changed<'a> {
    pub(super) site: &'a Site,
    pub(super) of: &'a RowsOfTenant,
    pub(super) table: &'a Table,
    pub(super) fit: &'a Fit<'a>,
    pub(super) key: &'a Key,
    pub(super) rewrite: Rewrite,
    /// Tells temporary tables apart.
    pub(super) number: u64,
}

/// What is done to a table, each in a part of the statement.
#[derive(Debug, Clone, Copy)]
enum Write {
    Delete,
    Update,
    Insert,
}

impl<'a> Changed<'a> {
    pub(super) fn collected(&self) -> Collected<'a> {
        Collected { copies: &self.fit.copies, number: self.number }
    }

    /// Appends the name of the temporary table of keys.
    pub(super) fn keys<'s>(&self, sql: &'s mut Sql) -> &'s mut Sql {
        sql.text("pg_temp.tenantry_keys_").number(self.number)
    }

    /// Appends the name of the temporary table of rows.
    pub(super) fn rows<'s>(&self, sql: &'s mut Sql) -> &'s mut Sql {
        self.collected().name(sql)
    }

    /// Appends the statements that create both.
    pub(super) fn create(&self, sql: &mut Sql) {
        self.keys(sql.text("create temporary table ")).text(" on commit drop as ");
        self.key.shape(sql, self.table, &self.site.schema).text("; ");
        self.collected().create(sql);
        columns(sql, &self.fit.copies).text(" from ");
        self.table.named(sql, &self.site.schema).text(" as x with no data; ");
    }

    /// Gives the planner the statistics of the temporary tables.
    pub(super) fn analyze(&self, sql: &mut Sql) {
        self.keys(sql.text("analyze ")).text(", ");
        self.collected().name(sql).text("; ");
    }

    fn writes(&self) -> &'static [Write] {
        match self.rewrite {
            Rewrite::Replace => &[Write::Delete, Write::Insert],
            Rewrite::Update => &[Write::Delete, Write::Update, Write::Insert],
        }
    }

    /// Appends the name of a part of the statement.
    fn part<'s>(&self, sql: &'s mut Sql, write: Write) -> &'s mut Sql {
        let name = match write {
            Write::Delete => "deleted_",
            Write::Update => "updated_",
            Write::Insert => "inserted_",
        };
        sql.text(name).number(self.number)
    }

    /// Appends the condition that a row of `x` is the tenant's and has changed.
    fn is_changed(&self, sql: &mut Sql) {
        self.table.is_tenants(sql, "x", self.of).sql(&self.only_changed());
    }

    /// Appends a part of the statement, after another one of the same table.
    fn write(&self, sql: &mut Sql, write: Write, after: Option<Write>) {
        let schema = &self.site.schema;
        match write {
            Write::Delete => {
                self.table.named(sql.text("delete from "), schema).text(" as x where ");
                self.is_changed(sql);
                if self.rewrite == Rewrite::Update {
                    self.collected()
                        .name(sql.text(" and not exists (select from "))
                        .text(" as c where ");
                    self.key.is_same(sql, "x", "c");
                    sql.text(")");
                }
            }
            Write::Update => {
                self.table.named(sql.text("update "), schema).text(" as x set ");
                for (place, column) in self.updated().enumerate() {
                    sql.text(if place == 0 { "" } else { ", " }).assign(column);
                    sql.text("c.").name(column);
                }
                self.collected().name(sql.text(" from ")).text(" as c where ");
                self.table.is_tenants(sql, "x", self.of).text(" and ");
                self.key.is_same(sql, "x", "c");
            }
            Write::Insert => {
                self.collected().insert(sql, self.site, self.of);
                sql.text(" where true");
                if self.rewrite == Rewrite::Update {
                    self.table.named(sql.text(" and not exists (select from "), schema);
                    self.table.is_tenants(sql.text(" as o where "), "o", self.of).text(" and ");
                    self.key.is_same(sql, "o", "x");
                    sql.text(")");
                }
            }
        }
        if let Some(after) = after {
            // The server runs the other part to its end to answer this.
            self.part(sql.text(" and (select pg_catalog.count(*) from "), after);
            sql.text(") operator(pg_catalog.>=) 0");
        }
        sql.text(" returning 1");
    }

    /// Returns the columns that an update sets: those of the key, too, since equal values can be printed differently.
    fn updated(&self) -> impl Iterator<Item = &'a str> {
        let columns = self.fit.copies.columns.iter().copied();
        columns.filter(|column| self.table.may_update(column))
    }

    fn has_columns_to_update(&self) -> bool {
        self.updated().next().is_some()
    }

    /// Returns the rest of the condition of rows `x` that have changed.
    pub(super) fn only_changed(&self) -> Sql {
        let mut only = Sql::new(" and exists (select from ");
        self.keys(&mut only).text(" as k where ");
        self.key.is_logged(&mut only, "x", "k");
        only.text(")");
        only
    }

    /// Verifies that the tenant has exactly these rows of the changed ones.
    async fn check(&self, conn: &mut PgConnection) -> Result<(), Error> {
        let only = self.only_changed();
        match self.collected().is_inserted(conn, self.site, self.of, &only).await? {
            true => Ok(()),
            false => {
                let attempted = format!(
                    "table {} has other rows than its source: a trigger or a rule changes what is written",
                    self.fit.copies.table
                );
                Err(Error::new(ErrorKind::Move, attempted))
            }
        }
    }
}

/// Returns the statement that writes the rows of all tables.
fn write_sql(tables: &[Changed<'_>]) -> SqlStr {
    let (mut sql, mut is_first) = (Sql::new("with "), true);
    for of in tables {
        let mut after = None;
        for write in of.writes() {
            if matches!(write, Write::Update) && !of.has_columns_to_update() {
                continue;
            }
            of.part(sql.text(if is_first { "" } else { ", " }), *write).text(" as (");
            of.write(&mut sql, *write, after);
            sql.text(")");
            (is_first, after) = (false, Some(*write));
        }
    }
    sql.text(" select 1");
    sql.finish()
}

/// Writes the rows of all tables, and checks them and every constraint.
pub(super) async fn write(conn: &mut PgConnection, tables: &[Changed<'_>]) -> Result<(), Error> {
    let mut sql = Sql::default();
    for of in tables {
        of.analyze(&mut sql);
    }
    sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;
    sqlx::raw_sql(write_sql(tables)).execute(&mut *conn).await.map_err(|error| {
        let error = Error::from(error);
        let attempted = match error.kind() {
            ErrorKind::UniqueViolation => {
                "writing the rows that have changed while they were being copied: rows have got unique values of each \
                 other, in a table whose deletions other tables act on; move it when that is rare, or copy its rows while \
                 requests wait"
            }
            _ => "writing the rows that have changed while they were being copied",
        };
        Error::new(error.kind(), attempted).with_source(error)
    })?;
    // What is deferred fails here, and not at the commit.
    sqlx::raw_sql("set constraints all immediate").execute(&mut *conn).await?;
    for of in tables {
        of.check(conn).await?;
    }
    Ok(())
}

/// Triggers of tables of the tenant's own that fire, and how they are enabled. Parameter: the oids of the tables and of
/// their partitions.
const ENABLED: &str = "\
    select n.nspname::pg_catalog.text, c.relname::pg_catalog.text, t.tgname::pg_catalog.text, \
      t.tgenabled::pg_catalog.text \
    from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) t.tgrelid \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    where c.oid::pg_catalog.int8 operator(pg_catalog.=) any ($1) and not t.tgisinternal \
      and t.tgparentid operator(pg_catalog.=) 0::pg_catalog.oid and t.tgenabled operator(pg_catalog.<>) 'D'";

/// Disables the triggers of tables that only the move uses. Returns the statements that enable them.
pub(super) async fn disable_triggers(
    conn: &mut PgConnection,
    tables: &[Changed<'_>],
) -> Result<Sql, Error> {
    let oids: Vec<_> = tables.iter().map(|of| of.table.oid).collect();
    let parts = Parts::of(conn, &oids).await?;
    let rows =
        sqlx::query(ENABLED).bind(parts.oids).persistent(false).fetch_all(&mut *conn).await?;
    let (mut disable, mut enable) = (Sql::default(), Sql::default());
    for row in &rows {
        let (schema, table): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        let (trigger, enabled): (&str, &str) = (row.try_get(2)?, row.try_get(3)?);
        for (sql, how) in [
            (&mut disable, " disable trigger "),
            (
                &mut enable,
                match enabled {
                    "A" => " enable always trigger ",
                    "R" => " enable replica trigger ",
                    _ => " enable trigger ",
                },
            ),
        ] {
            sql.text("alter table ").name(schema).text(".").name(table).text(how);
            sql.name(trigger).text("; ");
        }
    }
    if disable.len() > 0 {
        sqlx::raw_sql(disable.finish()).execute(conn).await?;
    }
    Ok(enable)
}
