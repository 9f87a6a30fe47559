//! A log of the keys of rows that change while a tenant is being copied.
//!
//! ```text
//!   table ─▶ triggers after insert, update, delete ─▶ log.t<oid>: the key of each row, as text
//! ```
//!
//! The log has a schema of its own, on which only its owner has rights: the functions of the triggers write there as that
//! role. They run no code of others, such as a cast or the check of a domain. A row of the log is committed together
//! with the change that it tells of.

use std::time::Duration;

use sqlx::{PgConnection, Row};

use super::{
    super::tables::{self, Table},
    keys::Key,
};
use crate::{
    catalog::{RowsOfTenant, Site},
    error::Error,
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
    /// The statement that fails unless the attempt that works on the move is the latest one, and keeps later ones waiting
    /// until the end of the transaction.
    pub(crate) guard: &'a Sql,
}

/// The triggers of a row: what their names end with, when they fire, and the rows that they look at.
const TRIGGERS: [(&str, &str, &[&str]); 3] = [
    ("_i", " after insert on ", &["new"]),
    ("_u", " after update on ", &["old", "new"]),
    ("_d", " after delete on ", &["old"]),
];

/// What the name of the trigger ends with that finds rows with another key than the tenant's.
const OTHERS: &str = "_o";

/// The columns of the table of what belongs to the tables: a table, and itself or a partition, with its state and name.
const TREE: &str =
    "top pg_catalog.int8, oid pg_catalog.int8, state pg_catalog.text, name pg_catalog.text";

/// How many tables are created or dropped in a transaction, which holds locks of all.
const CHUNK: usize = 100;

/// The triggers that write to a log, with their tables. Parameter: its schema.
const OF_LOG: &str = "\
    select n.nspname::pg_catalog.text, c.relname::pg_catalog.text, t.tgname::pg_catalog.text \
    from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) t.tgrelid \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) t.tgfoid \
    join pg_catalog.pg_namespace l on l.oid operator(pg_catalog.=) p.pronamespace \
    where l.nspname operator(pg_catalog.=) $1 and t.tgparentid operator(pg_catalog.=) 0::pg_catalog.oid \
    order by 1, 2, 3";

/// The functions of a log, and whether there is one. Parameter: its schema.
const FUNCTIONS: &str = "\
    select p.proname::pg_catalog.text from pg_catalog.pg_namespace l \
    left join pg_catalog.pg_proc p on p.pronamespace operator(pg_catalog.=) l.oid \
    where l.nspname operator(pg_catalog.=) $1";

/// The chance with which the trigger of a row pauses for a millisecond, for one microsecond on average.
const A_MICROSECOND: &str = "0.001";

impl ChangeLog<'_> {
    /// Appends the name of the logged keys of a table.
    pub(super) fn table<'s>(&self, sql: &'s mut Sql, top: i64) -> &'s mut Sql {
        self.named(sql, 't', top)
    }

    /// A table that is dropped and created again has another number, and no log.
    fn named<'s>(&self, sql: &'s mut Sql, letter: char, top: i64) -> &'s mut Sql {
        sql.ident(self.schema).text(".").name(&format!("{letter}{top}"))
    }

    fn others<'s>(&self, sql: &'s mut Sql) -> &'s mut Sql {
        sql.ident(self.schema).text(".others")
    }

    /// Appends the name of the table of what belongs to the tables.
    pub(super) fn tree<'s>(&self, sql: &'s mut Sql) -> &'s mut Sql {
        sql.ident(self.schema).text(".tree")
    }

    /// Returns the number of triggers of each table.
    pub(super) fn triggers_of_each(are_shared: bool) -> i64 {
        if are_shared { 3 } else { 4 }
    }

    /// Creates the empty log, which nothing writes to yet.
    pub(super) async fn create(
        &self,
        conn: &mut PgConnection,
        tables: &[(&Table, &Key)],
    ) -> Result<(), Error> {
        let mut sql = Sql::default();
        sql.sql(self.guard).text("; create schema ").ident(self.schema).text("; create table ");
        self.others(&mut sql).text(" (of_table pg_catalog.int8); ");
        keep_to_owner(&mut sql, self.schema, "others");
        let mut body = Sql::new("begin insert into ");
        self.others(&mut body).text(" values (tg_argv[0]::pg_catalog.int8); return null; end");
        sql.text("; create function ");
        self.others(&mut sql).text("() ");
        trigger_function(&mut sql, &body, true);
        self.others(sql.text("grant execute on function ")).text("() to public; create table ");
        self.tree(&mut sql).text(" (").text(TREE).text("); ");
        keep_to_owner(&mut sql, self.schema, "tree");
        sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;
        for tables in tables.chunks(CHUNK) {
            let mut sql = Sql::default();
            sql.sql(self.guard);
            for (table, key) in tables {
                self.create_of(&mut sql, table, key);
            }
            sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;
        }
        Ok(())
    }

    fn create_of(&self, sql: &mut Sql, table: &Table, key: &Key) {
        self.table(sql.text("; create table "), table.oid).text(" (key pg_catalog.text); ");
        keep_to_owner(sql, self.schema, &format!("t{}", table.oid));
        self.named(sql.text("; create type "), 'k', table.oid).text(" as (");
        key.types(sql);
        sql.text("); create function ");
        self.write_function(sql, table, key, Duration::ZERO);
        // Other roles may create partitions, whose triggers have this function. They cannot name it themselves, without
        // rights on the schema.
        self.named(sql.text("grant execute on function "), 'f', table.oid).text("() to public");
    }

    /// Appends the function of a table, from its name on.
    pub(super) fn write_function(&self, sql: &mut Sql, table: &Table, key: &Key, pause: Duration) {
        let mut body = Sql::new("begin ");
        let log = |body: &mut Sql, row| {
            self.table(body.text("insert into "), table.oid).text(" values (");
            key.of_row(body, row);
            body.text("::pg_catalog.text); ");
        };
        body.text("if tg_op operator(pg_catalog.<>) 'INSERT' then ");
        log(&mut body, "old");
        body.text(
            "end if; if tg_op operator(pg_catalog.=) 'INSERT' or (tg_op operator(pg_catalog.=) 'UPDATE' and ",
        );
        key.of_row(&mut body, "old");
        body.text(" operator(pg_catalog.*<>) ");
        key.of_row(&mut body, "new");
        body.text(") then ");
        log(&mut body, "new");
        body.text("end if; ");
        if !pause.is_zero() {
            body.text("if pg_catalog.random() operator(pg_catalog.<) (").text(A_MICROSECOND);
            body.text("::pg_catalog.float8 operator(pg_catalog.*) ");
            body.number(u64::try_from(pause.as_micros()).unwrap_or_default());
            body.text("::pg_catalog.float8) then perform pg_catalog.pg_sleep(0.001); end if; ");
        }
        body.text("return null; end");
        self.named(sql, 'f', table.oid).text("() ");
        trigger_function(sql, &body, key.is_plain());
    }

    /// Appends the statements that create the triggers of a table. They fire for replicated changes, too. In tables of its
    /// own, all rows are logged, and those with another key than the tenant's are noted.
    pub(super) fn triggers(
        &self,
        sql: &mut Sql,
        site: &Site,
        table: &Table,
        of: (&RowsOfTenant, bool),
    ) {
        let (schema, (of, are_shared)) = (&site.schema, of);
        let name = |end: &str| format!("{}{end}", self.schema);
        for (end, fires, rows) in TRIGGERS {
            table.named(sql.text("create trigger ").name(&name(end)).text(fires), schema);
            sql.text(" for each row ");
            for (place, row) in rows.iter().enumerate().filter(|_| are_shared) {
                sql.text(if place == 0 { "when (" } else { " or " });
                tables::is_tenants(sql, row, of);
            }
            sql.text(if are_shared { ") " } else { "" }).text("execute function ");
            self.named(sql, 'f', table.oid).text("(); ");
        }
        if !are_shared {
            sql.text("create trigger ").name(&name(OTHERS)).text(" after insert or update");
            table.named(sql.text(" on "), schema).text(" for each row when ((");
            tables::is_tenants(sql, "new", of).text(") is not true) execute function ");
            self.others(sql).text("(").literal(&table.oid.to_string()).text("); ");
        }
        let ends = TRIGGERS.iter().map(|(end, ..)| *end);
        for end in ends.chain((!are_shared).then_some(OTHERS)) {
            table.named(sql.text("alter table "), schema);
            sql.text(" enable always trigger ").name(&name(end)).text("; ");
        }
    }

    /// Appends the statement that notes that a table may have rows with another key.
    pub(super) fn note_others(&self, sql: &mut Sql, top: i64) {
        self.others(sql.text("insert into ")).text(" values (").integer(top).text("); ");
    }

    /// Reads the oids of tables with new or changed rows that have another key than the tenant's.
    pub(super) async fn with_others(&self, conn: &mut PgConnection) -> Result<Vec<i64>, Error> {
        let mut sql = Sql::new("select distinct o.of_table from ");
        self.others(&mut sql).text(" as o");
        let rows = sqlx::raw_sql(sql.finish()).fetch_all(conn).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?)
    }

    /// Counts the logged keys of each table, and gives the planner their statistics.
    pub(super) async fn pending(
        &self,
        conn: &mut PgConnection,
        tables: &[Table],
    ) -> Result<Vec<u64>, Error> {
        let mut sql = Sql::default();
        for (place, table) in tables.iter().enumerate() {
            // Autovacuum may be at work there.
            sql.text(if place == 0 { "analyze (skip_locked) " } else { ", " });
            self.table(&mut sql, table.oid);
        }
        for (place, table) in tables.iter().enumerate() {
            sql.text(if place == 0 { "; " } else { " union all " }).text("select ");
            sql.number(place as u64).text("::pg_catalog.int8, pg_catalog.count(*) from ");
            self.table(&mut sql, table.oid);
        }
        let mut pending = vec![0; tables.len()];
        for row in sqlx::raw_sql(sql.finish()).fetch_all(conn).await? {
            let (place, keys): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            if let Some(of) = usize::try_from(place).ok().and_then(|place| pending.get_mut(place)) {
                *of = u64::try_from(keys).unwrap_or_default();
            }
        }
        Ok(pending)
    }

    /// Appends the query of the logged keys of a table, as text.
    pub(super) fn keys(&self, sql: &mut Sql, table: &Table) {
        self.table(sql.text("select distinct l.key from "), table.oid).text(" as l");
    }

    /// Appends the condition that the key of a row is logged.
    pub(super) fn has(&self, sql: &mut Sql, table: &Table, key: &Key, row: &'static str) {
        self.table(sql.text("exists (select from "), table.oid);
        sql.text(" as l cross join lateral pg_catalog.unnest(array[l.key::");
        self.named(sql, 'k', table.oid).text("]) as k where ");
        key.is_logged(sql, row, "k");
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
            self.table(sql.text("delete from "), table.oid).text("; ");
        }
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
        Ok(())
    }

    /// Returns `true` if there is a log.
    pub(crate) async fn exists(&self, fleet: &Fleet) -> Result<bool, Error> {
        let mut lease = fleet.lease().await?;
        let found = sqlx::query(FUNCTIONS).bind(self.schema.as_str()).persistent(false);
        let exists = found.fetch_optional(&mut *lease).await?.is_some();
        lease.settle().await;
        Ok(exists)
    }

    /// Removes the log. Its functions come first, which takes no lock of a table: from then on, nothing is logged or slowed
    /// down. The triggers are dropped one by one, since others wait behind each lock.
    pub(crate) async fn end(&self, fleet: &Fleet) -> Result<(), Error> {
        let mut lease = fleet.lease().await?;
        let functions = sqlx::query(FUNCTIONS).bind(self.schema.as_str()).persistent(false);
        let functions = functions.fetch_all(&mut *lease).await?;
        if functions.is_empty() {
            return Ok(());
        }
        let mut sql = Sql::new("begin; ");
        sql.sql(self.guard).text("; ");
        for row in &functions {
            let Some(name) = row.try_get::<Option<&str>, _>(0)? else { continue };
            sql.text("create or replace function ").ident(self.schema).text(".").name(name);
            trigger_function(sql.text("() "), &Sql::new("begin return null; end"), true);
        }
        sql.text("commit");
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
        let triggers = sqlx::query(OF_LOG).bind(self.schema.as_str()).persistent(false);
        for row in triggers.fetch_all(&mut *lease).await? {
            let (schema, table): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            let trigger: &str = row.try_get(2)?;
            let mut sql = Sql::default();
            sql.sql(self.guard).text("; drop trigger if exists ").name(trigger);
            sql.text(" on ").name(schema).text(".").name(table);
            let attempted = format!("dropping the trigger {trigger} of table {schema}.{table}");
            in_a_moment(&mut lease, (schema, table), sql, &attempted).await?;
        }
        // No session waits for locks of what is left.
        let oids = functions.iter().filter_map(|row| {
            row.try_get::<Option<&str>, _>(0).ok()??.strip_prefix('f')?.parse::<i64>().ok()
        });
        for oids in oids.collect::<Vec<_>>().chunks(CHUNK) {
            let mut sql = Sql::new("begin; ");
            sql.sql(self.guard);
            for oid in oids {
                self.table(sql.text("; drop table if exists "), *oid);
                self.named(sql.text("; drop type if exists "), 'k', *oid);
                self.named(sql.text("; drop function if exists "), 'f', *oid).text("()");
            }
            sql.text("; commit");
            sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
        }
        let mut sql = Sql::new("begin; ");
        sql.sql(self.guard).text("; drop schema if exists ").ident(self.schema);
        sql.text(" cascade; commit");
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
        lease.settle().await;
        Ok(())
    }
}

/// Appends what follows the name of a function of a trigger. Unless what it writes is plain, its text must not depend on the
/// settings of the session that writes.
fn trigger_function(sql: &mut Sql, body: &Sql, is_plain: bool) {
    sql.text("returns pg_catalog.trigger language plpgsql security definer ");
    sql.text("set search_path = pg_catalog, pg_temp ");
    if !is_plain {
        sql.text("set datestyle = 'ISO, YMD' set intervalstyle = 'postgres' set timezone = 'UTC' ");
        sql.text("set extra_float_digits = 3 set bytea_output = 'hex' set lc_monetary = 'C' ");
    }
    sql.text("as ").body(body).text("; ");
}
