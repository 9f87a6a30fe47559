//! A log of the keys of rows that change while a tenant is being copied.
//!
//! ```text
//!   table ─▶ triggers after insert, update, delete ─▶ log.t<oid>: the key of each row
//!   table ─▶ trigger after truncate                ─▶ log.truncated: the name of the table
//! ```
//!
//! The log has a schema of its own, which nobody else uses: the functions of the triggers write there with the rights of
//! their owner. A row of the log is committed together with the change that it tells of.

use std::time::Duration;

use sqlx::{PgConnection, Row};

use super::{
    super::tables::{self, Table},
    RowsAt,
    keys::Key,
};
use crate::{
    catalog::{RowsOfTenant, Site},
    error::{Error, ErrorKind},
    fleet::Fleet,
    pool::keep_to_owner,
    provision::in_a_moment,
    sql::Sql,
    tenant::Ident,
};

/// The log of a move.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChangeLog<'a> {
    /// Its schema, which is also what the names of the triggers begin with.
    pub(crate) schema: &'a Ident,
}

/// The triggers of a row: what their names end with, when they fire, and the rows that they look at.
const TRIGGERS: [(&str, &str, &[&str]); 3] = [
    ("_i", " after insert on ", &["new"]),
    ("_u", " after update on ", &["old", "new"]),
    ("_d", " after delete on ", &["old"]),
];

/// The name of the trigger, of its function and of its table that tell that a table was truncated.
const TRUNCATED: &str = "truncated";

/// The triggers that write to a log, with their tables. Parameter: its schema.
const OF_LOG: &str = "\
    select n.nspname::pg_catalog.text, c.relname::pg_catalog.text, t.tgname::pg_catalog.text \
    from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) t.tgrelid \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) t.tgfoid \
    join pg_catalog.pg_namespace l on l.oid operator(pg_catalog.=) p.pronamespace \
    where l.nspname operator(pg_catalog.=) $1 and t.tgparentid operator(pg_catalog.=) 0::pg_catalog.oid \
    order by 1, 2, 3";

/// Tables that have lost a trigger of the log, or never had it. Parameters: the oids of the tables, the schema of the log,
/// and the number of triggers.
const UNLOGGED: &str = "\
    select c.relname::pg_catalog.text from pg_catalog.pg_class c \
    where c.oid::pg_catalog.int8 operator(pg_catalog.=) any ($1) and $3 operator(pg_catalog.<>) ( \
      select pg_catalog.count(*) from pg_catalog.pg_trigger t \
      join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) t.tgfoid \
      join pg_catalog.pg_namespace l on l.oid operator(pg_catalog.=) p.pronamespace \
      where t.tgrelid operator(pg_catalog.=) c.oid and l.nspname operator(pg_catalog.=) $2 \
        and t.tgenabled operator(pg_catalog.<>) all (array['D', 'R']::pg_catalog.\"char\"[])) \
    order by 1 limit 1";

/// The chance with which the trigger of a row pauses for a millisecond, for one microsecond on average.
const A_MICROSECOND: &str = "0.001";

impl ChangeLog<'_> {
    fn table<'s>(&self, sql: &'s mut Sql, table: &Table) -> &'s mut Sql {
        self.named(sql, 't', table.oid)
    }

    fn function<'s>(&self, sql: &'s mut Sql, table: &Table) -> &'s mut Sql {
        self.named(sql, 'f', table.oid)
    }

    /// A table that is dropped and created again has another number, and no log.
    fn named<'s>(&self, sql: &'s mut Sql, letter: char, oid: i64) -> &'s mut Sql {
        sql.ident(self.schema).text(".").name(&format!("{letter}{oid}"))
    }

    fn truncated<'s>(&self, sql: &'s mut Sql) -> &'s mut Sql {
        sql.ident(self.schema).text(".").text(TRUNCATED)
    }

    /// Creates the empty log, which nothing writes to yet.
    async fn create(
        &self,
        conn: &mut PgConnection,
        site: &Site,
        tables: &[(&Table, &Key)],
    ) -> Result<(), Error> {
        let mut sql = Sql::new("create schema ");
        sql.ident(self.schema).text("; create table ");
        self.truncated(&mut sql).text(" (name pg_catalog.text); ");
        keep_to_owner(&mut sql, self.schema, TRUNCATED);
        let mut body = Sql::new("begin insert into ");
        self.truncated(&mut body).text(" values (tg_relname); return null; end");
        sql.text("; create function ");
        self.truncated(&mut sql).text("() ");
        trigger_function(&mut sql, &body);
        sql.text("revoke execute on function ");
        self.truncated(&mut sql).text("() from public; ");
        for (table, key) in tables {
            sql.text("create table ");
            self.table(&mut sql, table).text(" as ");
            key.shape(&mut sql, table, &site.schema).text("; ");
            keep_to_owner(&mut sql, self.schema, &format!("t{}", table.oid));
            sql.text("; create function ");
            self.write_function(&mut sql, table, key, Duration::ZERO);
            sql.text("revoke execute on function ");
            self.function(&mut sql, table).text("() from public; ");
        }
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
        Ok(())
    }

    /// Appends the function of a table, from its name on.
    fn write_function(&self, sql: &mut Sql, table: &Table, key: &Key, pause: Duration) {
        let mut body = Sql::new("begin ");
        let log = |body: &mut Sql, row| {
            body.text("insert into ");
            self.table(body, table).text(" values (");
            key.values(body, row);
            body.text("); ");
        };
        body.text("if tg_op operator(pg_catalog.<>) 'INSERT' then ");
        log(&mut body, "old");
        body.text("end if; if tg_op operator(pg_catalog.=) 'INSERT' or (tg_op operator(pg_catalog.=) 'UPDATE' and row(");
        key.values(&mut body, "old");
        body.text(")::pg_catalog.record operator(pg_catalog.*<>) row(");
        key.values(&mut body, "new");
        body.text(")::pg_catalog.record) then ");
        log(&mut body, "new");
        body.text("end if; ");
        if !pause.is_zero() {
            body.text("if pg_catalog.random() operator(pg_catalog.<) (").text(A_MICROSECOND);
            body.text("::pg_catalog.float8 operator(pg_catalog.*) ");
            body.number(u64::try_from(pause.as_micros()).unwrap_or_default());
            body.text("::pg_catalog.float8) then perform pg_catalog.pg_sleep(0.001); end if; ");
        }
        body.text("return null; end");
        self.function(sql, table).text("() ");
        trigger_function(sql, &body);
    }

    /// Appends the statements that create the triggers of a table. They fire for replicated changes, too. In tables of its
    /// own, all rows are the tenant's.
    fn triggers(&self, sql: &mut Sql, site: &Site, table: &Table, of: Option<&RowsOfTenant>) {
        let schema = &site.schema;
        let name = |end: &str| format!("{}{end}", self.schema);
        for (end, fires, rows) in TRIGGERS {
            table.named(sql.text("create trigger ").name(&name(end)).text(fires), schema);
            sql.text(" for each row ");
            for (place, row) in rows.iter().enumerate().filter(|_| of.is_some()) {
                sql.text(if place == 0 { "when (" } else { " or " });
                if let Some(of) = of {
                    tables::is_tenants(sql, row, of);
                }
            }
            sql.text(if of.is_some() { ") " } else { "" }).text("execute function ");
            self.function(sql, table).text("(); ");
        }
        table.named(
            sql.text("create trigger ").name(&name("_t")).text(" after truncate on "),
            schema,
        );
        sql.text(" for each statement execute function ");
        self.truncated(sql).text("()");
        for end in TRIGGERS.iter().map(|(end, ..)| end).chain([&"_t"]) {
            table.named(sql.text("; alter table "), schema);
            sql.text(" enable always trigger ").name(&name(end));
        }
    }

    /// Refuses tables whose changes the log does not have.
    ///
    /// # Errors
    ///
    /// [`Move`](ErrorKind::Move), with what has happened.
    pub(super) async fn check(
        &self,
        conn: &mut PgConnection,
        tables: &[Table],
    ) -> Result<(), Error> {
        let oids: Vec<_> = tables.iter().map(|table| table.oid).collect();
        let triggers = i64::try_from(TRIGGERS.len() + 1).unwrap_or_default();
        let unlogged = sqlx::query_scalar(UNLOGGED).bind(oids).bind(self.schema.as_str());
        let unlogged = unlogged.bind(triggers).persistent(false).fetch_optional(&mut *conn).await?;
        let mut sql = Sql::new("select l.name from ");
        self.truncated(&mut sql).text(" as l limit 1");
        let truncated = sqlx::raw_sql(sql.finish()).fetch_optional(conn).await?;
        let truncated = truncated.map(|row| row.try_get::<String, _>(0)).transpose()?;
        let what = match (unlogged, truncated) {
            (Some(table), _) => {
                let table: String = table;
                format!("table {table} was created, or its triggers were disabled or dropped,")
            }
            (None, Some(table)) => format!("table {table} was truncated"),
            (None, None) => return Ok(()),
        };
        let attempted = format!("{what} while its rows were being copied: move it again");
        Err(Error::new(ErrorKind::Move, attempted))
    }

    /// Counts the logged keys of each table, and gives the planner their statistics.
    pub(super) async fn pending(
        &self,
        conn: &mut PgConnection,
        tables: &[Table],
    ) -> Result<Vec<u64>, Error> {
        let mut sql = Sql::default();
        for (place, table) in tables.iter().enumerate() {
            sql.text(if place == 0 { "analyze " } else { ", " });
            self.table(&mut sql, table);
        }
        for (place, table) in tables.iter().enumerate() {
            sql.text(if place == 0 { "; select " } else { ", " });
            sql.text("(select pg_catalog.count(*) from ");
            self.table(&mut sql, table).text(")");
        }
        let row = sqlx::raw_sql(sql.finish()).fetch_one(conn).await?;
        let number = |place| row.try_get::<i64, _>(place);
        let number = |place| number(place).map(|keys| u64::try_from(keys).unwrap_or_default());
        Ok((0..tables.len()).map(number).collect::<sqlx::Result<_>>()?)
    }

    /// Appends the query of the logged keys of a table.
    pub(super) fn keys(&self, sql: &mut Sql, table: &Table, key: &Key) {
        sql.text("select distinct ");
        key.logged(sql, "l");
        self.table(sql.text(" from "), table).text(" as l");
    }

    /// Appends the condition that the key of a row is logged.
    pub(super) fn has(&self, sql: &mut Sql, table: &Table, key: &Key, row: &'static str) {
        sql.text("exists (select from ");
        self.table(sql, table).text(" as l where ");
        key.is_logged(sql, row, "l");
        sql.text(")");
    }

    /// Removes the logged keys of tables that the snapshot shows.
    pub(super) async fn remove(
        &self,
        conn: &mut PgConnection,
        tables: &[&Table],
    ) -> Result<(), Error> {
        let mut sql = Sql::default();
        for table in tables {
            sql.text("delete from ");
            self.table(&mut sql, table).text("; ");
        }
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
        Ok(())
    }

    /// Removes the log: the triggers one by one, since others wait behind each lock.
    pub(crate) async fn end(&self, fleet: &Fleet) -> Result<(), Error> {
        let mut lease = fleet.lease().await?;
        let triggers = sqlx::query(OF_LOG).bind(self.schema.as_str()).persistent(false);
        for row in triggers.fetch_all(&mut *lease).await? {
            let (schema, table): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            let trigger: &str = row.try_get(2)?;
            let mut sql = Sql::new("drop trigger if exists ");
            sql.name(trigger).text(" on ").name(schema).text(".").name(table);
            let attempted = format!("dropping the trigger {trigger} of table {schema}.{table}");
            in_a_moment(&mut lease, &sql, &attempted).await?;
        }
        let mut sql = Sql::new("drop schema if exists ");
        sql.ident(self.schema).text(" cascade");
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
        lease.settle().await;
        Ok(())
    }
}

impl RowsAt<'_> {
    /// Begins to log the keys of rows that change. From then on, every change that a later snapshot does not show is
    /// logged: a lock waits for transactions that have written before.
    pub(crate) async fn begin_log(&self, to: RowsAt<'_>, log: ChangeLog<'_>) -> Result<(), Error> {
        log.end(self.fleet).await?;
        let reasons = self.why_not_logged(Some(to)).await?;
        if !reasons.is_empty() {
            return Err(Error::new(ErrorKind::Move, reasons.join("; ")));
        }
        let mut lease = self.fleet.lease_for(self.site).await?;
        let (tables, keys) = self.keyed(&mut lease).await?;
        let keyed: Vec<_> = tables.iter().zip(&keys).collect();
        log.create(&mut lease, self.site, &keyed).await?;
        let of = self.of()?;
        for table in &tables {
            let mut sql = Sql::default();
            log.triggers(&mut sql, self.site, table, self.are_shared.then_some(of));
            let attempted = format!("creating triggers of table {}", table.name);
            in_a_moment(&mut lease, &sql, &attempted).await?;
        }
        lease.settle().await;
        Ok(())
    }

    /// Has each change of a row take longer by this time on average, to the microsecond. Transactions of other tenants do
    /// not.
    pub(crate) async fn slow_down(&self, log: ChangeLog<'_>, pause: Duration) -> Result<(), Error> {
        let mut lease = self.fleet.lease_for(self.site).await?;
        let (tables, keys) = self.keyed(&mut lease).await?;
        let mut sql = Sql::default();
        for (table, key) in tables.iter().zip(&keys) {
            sql.text("create or replace function ");
            log.write_function(&mut sql, table, key, pause);
        }
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
        lease.settle().await;
        Ok(())
    }
}

/// Appends what follows the name of a function of a trigger.
fn trigger_function(sql: &mut Sql, body: &Sql) {
    sql.text("returns pg_catalog.trigger language plpgsql security definer ");
    sql.text("set search_path = pg_catalog, pg_temp as ").body(body).text("; ");
}
