//! The table of processes, and the statements of a beat.
//!
//! A beat reads all rows, decides, and writes its own row if no other process has written since.
//! So no lock is held between two messages: a process that stops in between delays no other.
//!
//! While nothing changes, the statement that reads also counts the beat, and nothing else is written. That does not
//! count as a write: what others have decided stays right. Only a process whose lease seems to have expired may beat
//! again in between, so what is written about it requires that it has not.

use std::{collections::HashMap, sync::Arc};

use sqlx::{PgConnection, Row as _, SqlStr, postgres::PgRow, raw_sql};

use super::sightings::{Lapsed, Row};
use crate::{
    pool::{application_name, keep_to_owner},
    sql::Sql,
    tenant::Ident,
};

/// The name of the table, in the shared schema.
pub(crate) const TABLE: &str = "tenantry_budget";

/// The rows of one budget on one server.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) schema: Ident,
    pub(super) budget: Arc<str>,
    /// This process, by the name of its sessions.
    pub(super) instance: Arc<str>,
}

/// What a beat has read.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The other processes.
    pub(super) rows: Vec<Row>,
    /// Number of writes so far. `None` if this budget is new.
    pub(super) version: Option<i64>,
    /// Seconds since the budget was new, by the clock of the server.
    pub(super) age: f64,
    /// The table, to notice that it was replaced.
    pub(super) oid: Option<i64>,
    /// The row of this process is as it was expected, and the beat is counted.
    pub(super) stands: bool,
}

impl Found {
    /// Returns `true` while sessions of this budget without a row keep it from being lent: they belong to processes
    /// that have not noticed that the table was emptied or replaced.
    pub(super) fn is_new(&self) -> bool {
        self.age < NEW_FOR
    }
}

/// How long a budget is new, in seconds.
const NEW_FOR: f64 = 15.0;

/// What a beat writes.
#[derive(Debug)]
pub(super) struct Written<'a> {
    pub(super) version: i64,
    pub(super) mine: &'a Row,
    pub(super) lapsed: &'a [Lapsed],
}

/// How a beat's session waits and plans. Only a change of the table holds a lock for long. The plans of
/// its statements do not depend on their values, so each is made once in a session.
pub(super) const SETTINGS: [(&str, &str); 3] = [
    ("lock_timeout", "500"),
    ("plan_cache_mode", "force_generic_plan"),
    ("default_transaction_isolation", "read committed"),
];

impl Table {
    fn name<'s>(&self, sql: &'s mut Sql) -> &'s mut Sql {
        sql.ident(&self.schema).text(".tenantry_budget")
    }

    /// Appends the OID that the name refers to. A view could have a column of that name.
    fn oid<'s>(&self, sql: &'s mut Sql) -> &'s mut Sql {
        let mut name = Sql::default();
        self.name(&mut name);
        sql.text("pg_catalog.to_regclass(").literal(name.as_str());
        sql.text(")::pg_catalog.oid::pg_catalog.int8")
    }

    /// Reads the rows of all processes. Counts a beat of this one if its row in the table with this oid is as given.
    pub(super) async fn read(
        &self,
        conn: &mut PgConnection,
        standing: Option<(i64, &Row)>,
    ) -> sqlx::Result<Found> {
        let rows = match standing {
            None => sqlx::query(self.read_sql(false)).bind(&*self.budget).fetch_all(conn).await?,
            Some((oid, mine)) => {
                let mut read = sqlx::query(self.read_sql(true)).bind(&*self.budget);
                read = read.bind(&*self.instance).bind(oid);
                for of in mine.numbers() {
                    read = read.bind(of);
                }
                read = read.bind(mine.beats);
                read.fetch_all(conn).await?
            }
        };
        let mut found = Found::default();
        for row in rows {
            found.oid = Some(row.try_get("oid")?);
            found.stands = row.try_get("stands")?;
            let read = read(&row)?;
            if read.instance.is_empty() {
                (found.version, found.age) = (Some(read.beats), row.try_get("age")?);
            } else if read.instance != self.instance {
                found.rows.push(read);
            }
        }
        Ok(found)
    }

    /// Parameters: the budget, and if a beat is counted, this process, the table, its numbers there, and its beats now.
    fn read_sql(&self, counts: bool) -> SqlStr {
        let mut sql = Sql::default();
        if counts {
            sql.text("with mine as (update ");
            self.name(&mut sql).text(
                " b set beats = $8::pg_catalog.int8, beat_at = pg_catalog.clock_timestamp() \
                 where b.name operator(pg_catalog.=) $1::pg_catalog.text \
                 and b.instance operator(pg_catalog.=) $2::pg_catalog.text \
                 and ",
            );
            self.oid(&mut sql).text(
                " operator(pg_catalog.=) $3::pg_catalog.int8 \
                 and b.budget operator(pg_catalog.=) $4::pg_catalog.int4 \
                 and b.floor operator(pg_catalog.=) $5::pg_catalog.int4 \
                 and b.wanted operator(pg_catalog.=) $6::pg_catalog.int4 \
                 and b.counted operator(pg_catalog.=) $7::pg_catalog.int4 returning 1) ",
            );
        }
        sql.text("select instance, budget, floor, wanted, counted, beats, ");
        self.oid(&mut sql).text(
            " as oid, extract(epoch from pg_catalog.clock_timestamp() \
             operator(pg_catalog.-) b.beat_at)::pg_catalog.float8 as age, ",
        );
        sql.text(if counts { "exists (select from mine)" } else { "false" })
            .text(" as stands from ");
        self.name(&mut sql).text(" b where b.name operator(pg_catalog.=) $1::pg_catalog.text");
        sql.finish()
    }

    /// Adds the row that counts the writes, if it is missing.
    pub(super) async fn begin(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let mut sql = Sql::new("insert into ");
        self.name(&mut sql).text(
            " (name, instance, budget, floor, wanted, counted, beats, beat_at) \
             values ($1, '', 0, 0, 0, 0, 0, pg_catalog.clock_timestamp()) on conflict do nothing",
        );
        let begin = sqlx::query(sql.finish()).persistent(false).bind(&*self.budget);
        begin.execute(conn).await.map(drop)
    }

    /// Writes the row of this process, and what it knows of others. Returns `false` if another process has written
    /// since, or one that has expired has beaten; then no row of a process is changed.
    pub(super) async fn write(
        &self,
        conn: &mut PgConnection,
        written: &Written<'_>,
    ) -> sqlx::Result<bool> {
        let Written { version, mine, lapsed } = *written;
        let mut write = sqlx::query_scalar(self.write_sql())
            .bind(&*self.budget)
            .bind(version)
            .bind(&*self.instance);
        for of in mine.numbers() {
            write = write.bind(of);
        }
        let instances: Vec<_> = lapsed.iter().map(|of| &*of.instance).collect();
        let beats: Vec<_> = lapsed.iter().map(|of| of.beats).collect();
        let counted: Vec<_> = lapsed.iter().map(|of| of.counted.map(int4)).collect();
        let write = write.bind(instances).bind(beats).bind(counted).bind(mine.beats);
        write.fetch_one(conn).await
    }

    /// Parameters: the budget, its version, this process and its numbers, and the processes whose leases have expired,
    /// with their beats and what is counted for each, null for one that is gone; and the beats of this one.
    fn write_sql(&self) -> SqlStr {
        let mut sql = Sql::new("with turn as (update ");
        self.name(&mut sql).text(
            " b set beats = b.beats operator(pg_catalog.+) 1 \
             where b.name operator(pg_catalog.=) $1::pg_catalog.text and b.instance operator(pg_catalog.=) '' \
             and b.beats operator(pg_catalog.=) $2::pg_catalog.int8 returning 1), lapsed as (select from ",
        );
        self.name(&mut sql).text(
            " b where exists (select from turn) and b.name operator(pg_catalog.=) $1::pg_catalog.text \
             and exists (select from rows from (pg_catalog.unnest($8::pg_catalog.text[]), \
               pg_catalog.unnest($9::pg_catalog.int8[])) as v (instance, beats) \
               where b.instance operator(pg_catalog.=) v.instance and b.beats operator(pg_catalog.=) v.beats) \
             for update), may as (select from turn where pg_catalog.cardinality($8::pg_catalog.text[]) \
             operator(pg_catalog.=) (select pg_catalog.count(*) from lapsed)), mine as (insert into ",
        );
        self.name(&mut sql).text(
            " as b (name, instance, budget, floor, wanted, counted, beats, beat_at) \
             select $1::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.int4, $5::pg_catalog.int4, \
             $6::pg_catalog.int4, $7::pg_catalog.int4, $11::pg_catalog.int8, pg_catalog.clock_timestamp() from may \
             on conflict (name, instance) do update \
             set budget = excluded.budget, floor = excluded.floor, wanted = excluded.wanted, \
             counted = excluded.counted, beats = excluded.beats, \
             beat_at = excluded.beat_at), expired as (update ",
        );
        self.name(&mut sql).text(
            " b set counted = v.counted from rows from (pg_catalog.unnest($8::pg_catalog.text[]), \
             pg_catalog.unnest($10::pg_catalog.int4[])) as v (instance, counted), may \
             where b.name operator(pg_catalog.=) $1::pg_catalog.text \
             and b.instance operator(pg_catalog.=) v.instance and v.counted is not null), gone as (delete from ",
        );
        self.name(&mut sql).text(
            " b where exists (select from may) and b.name operator(pg_catalog.=) $1::pg_catalog.text \
             and b.instance operator(pg_catalog.=) any (select v.instance \
               from rows from (pg_catalog.unnest($8::pg_catalog.text[]), \
               pg_catalog.unnest($10::pg_catalog.int4[])) as v (instance, counted) where v.counted is null)) \
             select exists (select from may)",
        );
        sql.finish()
    }

    /// Removes the row of this process, if it has no session but this one. Returns `false` if it
    /// has others.
    pub(super) async fn leave(&self, conn: &mut PgConnection) -> sqlx::Result<bool> {
        let mut sql = Sql::new("begin; set local lock_timeout = 500; ");
        sql.text("with others as (select from pg_catalog.pg_stat_activity a where ");
        sql.text("(a.application_name operator(pg_catalog.=) ").literal(&self.instance);
        sql.text(" or pg_catalog.starts_with(a.application_name, ")
            .literal(&format!("{}/", self.instance));
        sql.text(
            ")) and a.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()), \
             gone as (delete from ",
        );
        self.name(&mut sql)
            .text(" b where not exists (select from others) and b.name operator(pg_catalog.=) ");
        sql.literal(&self.budget)
            .text(" and b.instance operator(pg_catalog.=) ")
            .literal(&self.instance);
        sql.text(" returning 1), turn as (update ");
        self.name(&mut sql).text(
            " b set beats = b.beats operator(pg_catalog.+) 1 \
             where exists (select from gone) and b.name operator(pg_catalog.=) ",
        );
        sql.literal(&self.budget).text(
            " and b.instance operator(pg_catalog.=) '') \
             select not exists (select from others); commit",
        );
        let rows = raw_sql(sql.finish()).fetch_all(conn).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(true))
    }

    /// Creates the table, if the role may.
    pub(super) async fn create(
        &self,
        conn: &mut PgConnection,
        user: Option<&Ident>,
    ) -> sqlx::Result<()> {
        raw_sql(create_sql(&self.schema, user)).execute(conn).await.map(drop)
    }

    /// Returns why the table is not one that the library has made, if so: a role that may create in
    /// the schema can create one of that name first. `None` if there is no table.
    pub(super) async fn misfit(
        &self,
        conn: &mut PgConnection,
        owner: Option<&str>,
    ) -> sqlx::Result<Option<Option<String>>> {
        let query = sqlx::query_scalar(MISFIT).bind(self.schema.as_str()).bind(TABLE).bind(owner);
        query.persistent(false).fetch_optional(conn).await
    }
}

/// Creates the table in a schema, for this user beside its owner.
pub(super) fn create_sql(schema: &Ident, user: Option<&Ident>) -> SqlStr {
    // Makes a second caller wait: `if not exists` alone does not prevent a collision.
    let mut sql = Sql::new(
        "begin; set local lock_timeout = 500; select pg_catalog.pg_advisory_xact_lock(7234619037116); \
         create table if not exists ",
    );
    sql.ident(schema).text(".tenantry_budget ");
    sql.text(
        "(name pg_catalog.text, instance pg_catalog.text, budget pg_catalog.int4 not null, \
         floor pg_catalog.int4 not null, wanted pg_catalog.int4 not null, \
         counted pg_catalog.int4 not null, beats pg_catalog.int8 not null, \
         beat_at pg_catalog.timestamptz not null, primary key (name, instance)); ",
    );
    if let Some(user) = user {
        keep_to_owner(&mut sql, schema, TABLE);
        sql.text("grant usage on schema ").ident(schema).text(" to ").ident(user);
        sql.text("; grant select, insert, update, delete on table ").ident(schema);
        sql.text(".tenantry_budget to ").ident(user).text("; ");
    }
    sql.text("commit");
    sql.finish()
}

/// The sessions of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sessions {
    /// In all databases.
    pub(super) all: usize,
    /// In the database of the table.
    pub(super) here: usize,
}

/// Counts the sessions of each process, by the name of its sessions and whatever their roles.
pub(super) async fn sessions(conn: &mut PgConnection) -> sqlx::Result<HashMap<String, Sessions>> {
    const COUNT: &str = "\
        select a.application_name, pg_catalog.count(*), pg_catalog.count(*) filter (where \
          a.datname operator(pg_catalog.=) pg_catalog.current_database()) \
        from pg_catalog.pg_stat_activity a \
        where pg_catalog.starts_with(a.application_name, 'tenantry/') group by 1";
    let mut sessions = HashMap::<_, Sessions>::new();
    for row in raw_sql(COUNT).fetch_all(conn).await? {
        let (name, all, here): (String, i64, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if let Some(named) = application_name::read(&name) {
            let of = sessions.entry(named.application.to_owned()).or_default();
            of.all += usize::try_from(all).unwrap_or_default();
            of.here += usize::try_from(here).unwrap_or_default();
        }
    }
    Ok(sessions)
}

fn int4(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl Row {
    /// The numbers that a process writes about itself, in the order of the columns.
    fn numbers(&self) -> [i32; 4] {
        let Self { budget, floor, wanted, counted, .. } = *self;
        [budget, floor, wanted, counted].map(int4)
    }
}

fn read(row: &PgRow) -> sqlx::Result<Row> {
    let number = |column: &str| {
        let number: i32 = row.try_get(column)?;
        Ok::<_, sqlx::Error>(usize::try_from(number).unwrap_or_default())
    };
    Ok(Row {
        instance: row.try_get::<String, _>("instance")?.into(),
        budget: number("budget")?,
        floor: number("floor")?,
        wanted: number("wanted")?,
        counted: number("counted")?,
        beats: row.try_get("beats")?,
    })
}

/// Parameters: the schema, the table, and another role that the owner may be.
const MISFIT: &str = "\
    select case \
      when c.relkind operator(pg_catalog.<>) 'r'::pg_catalog.\"char\" then 'it is not an ordinary table' \
      when c.relrowsecurity then 'row security is enabled for it' \
      when not (pg_catalog.pg_get_userbyid(c.relowner) operator(pg_catalog.=) \
          any (array[current_user, session_user, coalesce($3::pg_catalog.name, current_user)]) \
        or pg_catalog.pg_has_role(c.relowner, n.nspowner, 'usage')) \
        then 'it belongs to the role ' operator(pg_catalog.||) pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text \
          operator(pg_catalog.||) ', which does not own the schema' \
      when exists (select from pg_catalog.pg_trigger g where g.tgrelid operator(pg_catalog.=) c.oid \
        and not g.tgisinternal) then 'it has a trigger' \
      when exists (select from pg_catalog.pg_rewrite w where w.ev_class operator(pg_catalog.=) c.oid) \
        then 'it has a rule' end \
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    where n.nspname operator(pg_catalog.=) $1::pg_catalog.name and c.relname operator(pg_catalog.=) $2::pg_catalog.name";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_changes_nothing_but_in_its_turn() {
        let schema = Ident::parse("public").unwrap();
        let table = Table { schema, budget: "b".into(), instance: "tenantry/a~1".into() };
        let sql = table.write_sql();
        let text = sql.as_str();
        assert!(text.contains("as v (instance, counted), may where b.name"), "{text}");
        assert_eq!(text.matches("from turn").count(), 2, "{text}");
        assert_eq!(
            text.matches(", may where").count() + text.matches("from may").count(),
            4,
            "{text}"
        );
    }
}
