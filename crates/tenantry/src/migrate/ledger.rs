//! The table that remembers the tenants' migrations, so that a run without pending files need not look at all of them.
//!
//! It is in the shared schema, and holds for each tenant the files that it was last seen to have, where that was, and
//! the identity of its schema and records. A run that changes records announces that before, and writes the result
//! afterwards: while a change is announced, nothing that another run has seen is written.

use std::collections::HashMap;

use sqlx::{FromRow, PgConnection, Row, postgres::PgArguments, query::Query};

use super::{
    Failure,
    remembered::{Remembered, Seen, role_of},
    survey::run,
};
use crate::{
    catalog::Site,
    fleet::Fleet,
    pool::{Lease, keep_to_owner},
    sql::Sql,
    tenant::Ident,
};

/// The table, in the shared schema.
const TABLE: &str = "tenantry_migrated";

/// The lock for creating the table.
const LOCK: u64 = 7_234_619_037_118;

/// What [`bind`] binds after the files, as rows.
const ASKED: &str = "from rows from ( \
      pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.bool[]), \
      pg_catalog.unnest($4::pg_catalog.text[]), pg_catalog.unnest($5::pg_catalog.text[]), \
      pg_catalog.unnest($6::pg_catalog.text[]), pg_catalog.unnest($7::pg_catalog.int8[]), \
      pg_catalog.unnest($8::pg_catalog.text[]), pg_catalog.unnest($9::pg_catalog.int8[]), \
      pg_catalog.unnest($10::pg_catalog.int8[]), pg_catalog.unnest($11::pg_catalog.int8[]), \
      pg_catalog.unnest($12::pg_catalog.int8[]), pg_catalog.unnest($13::pg_catalog.int8[])) \
    as asked (tenant, complete, server, database, schema, epoch, role, database_oid, schema_oid, records_oid, \
      records_file, seen)";

/// The columns of a [`Remembered`], after the tenant and whether it has the files.
const COLUMNS: &str = "server, database, schema, epoch, role, database_oid, schema_oid, records_oid, records_file, changed, \
    coalesce(extract(epoch from looked_at)::pg_catalog.int8, 0)";

/// What is remembered of a tenant, with the files that it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) files: String,
    pub(super) of: Remembered,
}

/// What a run writes about a tenant.
pub(super) struct Note<'a> {
    pub(super) name: &'a str,
    pub(super) site: &'a Site,
    /// Its identity, if it has all files.
    pub(super) complete: Option<Seen>,
    /// The number of changes that were known when it was looked at.
    pub(super) changed: i64,
}

/// The table, which exists.
#[derive(Debug, Clone)]
pub(super) struct Ledger<'a> {
    fleet: &'a Fleet,
    schema: Ident,
}

impl<'a> Ledger<'a> {
    /// Finds the table. None if it does not exist, or belongs to another role, which could have planted it.
    pub(super) async fn find(fleet: &'a Fleet) -> Result<Option<Self>, Failure> {
        let schema = fleet.shared_site().schema;
        let mut lease = fleet.lease().await?;
        let name = schema.as_str().to_owned();
        let found = run(&mut lease, async |conn| is_there(conn, &name).await).await?;
        Ok(found.then_some(Self { fleet, schema }))
    }

    /// Finds the table, or creates it. None if it cannot be created, or is not usable.
    pub(super) async fn ensure(fleet: &'a Fleet) -> Result<Option<Self>, Failure> {
        if let Some(found) = Self::find(fleet).await? {
            return Ok(Some(found));
        }
        let schema = fleet.shared_site().schema;
        let mut lease = fleet.lease().await?;
        let sql = create(&schema);
        let made =
            run(&mut lease, async |conn| sqlx::raw_sql(sql.finish()).execute(conn).await).await;
        lease.settle().await;
        match made {
            Ok(_) => Self::find(fleet).await,
            Err(error) => {
                tracing::debug!(
                    target: "tenantry::migrate",
                    error = &error as &dyn std::error::Error,
                    "the table {TABLE} could not be created: each run looks at all tenants"
                );
                Ok(None)
            }
        }
    }

    async fn lease(&self) -> Result<Lease, Failure> {
        Ok(self.fleet.lease().await?)
    }

    fn statement(&self, before: &'static str, after: &'static str) -> Sql {
        let mut sql = Sql::new(before);
        sql.ident(&self.schema).text(".").text(TABLE).text(after);
        sql
    }

    /// Reads what is remembered of all tenants, by their names.
    pub(super) async fn read(&self, files: &str) -> Result<HashMap<String, Remembered>, Failure> {
        let mut sql = Sql::new(
            "select tenant, coalesce(files operator(pg_catalog.=) $1::pg_catalog.text, false) \
               and changing operator(pg_catalog.=) 0, ",
        );
        sql.text(COLUMNS).text(" from ").ident(&self.schema).text(".").text(TABLE);
        let mut lease = self.lease().await?;
        let query = sqlx::query(sql.finish()).bind(files).persistent(false);
        let rows = run(&mut lease, async |conn| query.fetch_all(conn).await).await?;
        lease.settle().await;
        let mut all = HashMap::with_capacity(rows.len());
        for row in &rows {
            let Named { name, remembered } = Named::from_row(row)?;
            all.insert(name, remembered);
        }
        Ok(all)
    }

    /// Reads what is remembered of the tenants that have files and whose change is not announced, by their names.
    pub(super) async fn lines(&self) -> Result<HashMap<String, Line>, Failure> {
        let mut sql = Sql::new("select tenant, true, ");
        sql.text(COLUMNS).text(", files from ").ident(&self.schema).text(".").text(TABLE);
        sql.text(" where files is not null and changing operator(pg_catalog.=) 0");
        let mut lease = self.lease().await?;
        let query = sqlx::query(sql.finish()).persistent(false);
        let rows = run(&mut lease, async |conn| query.fetch_all(conn).await).await?;
        lease.settle().await;
        let mut all = HashMap::with_capacity(rows.len());
        for row in &rows {
            let Named { name, remembered } = Named::from_row(row).map_err(Failure::from)?;
            let files = row.try_get(13).map_err(Failure::from)?;
            all.insert(name, Line { files, of: remembered });
        }
        Ok(all)
    }

    /// Forgets the files of tenants, unless they were changed since.
    pub(super) async fn forget(&self, lines: &[(&str, i64)]) -> Result<(), Failure> {
        let sql = self.statement(
            "update ",
            " as t set files = null \
               from rows from (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.int8[])) \
                 as asked (tenant, changed) \
               where t.tenant operator(pg_catalog.=) asked.tenant \
                 and t.changed operator(pg_catalog.=) asked.changed and t.changing operator(pg_catalog.=) 0",
        );
        let (names, changed): (Vec<_>, Vec<_>) = lines.iter().copied().unzip();
        self.write(sqlx::query(sql.finish()).bind(names).bind(changed)).await
    }

    /// Announces changes to the records of these tenants.
    /// Returns the number of changes of each, which [`end`](Self::end) expects.
    pub(super) async fn announce(&self, names: &[&str]) -> Result<HashMap<String, i64>, Failure> {
        let sql = self.statement(
            "insert into ",
            " as t (tenant, changing, changed, changed_at) \
             select asked.tenant, 1, 1, pg_catalog.now() \
               from pg_catalog.unnest($1::pg_catalog.text[]) as asked (tenant) order by 1 \
             on conflict (tenant) do update set files = null, \
               changing = case \
                 when t.changed_at operator(pg_catalog.<) (pg_catalog.now() operator(pg_catalog.-) \
                   '1 day'::pg_catalog.interval) then 1 \
                 else t.changing operator(pg_catalog.+) 1 end, \
               changed = t.changed operator(pg_catalog.+) 1, changed_at = pg_catalog.now() \
             returning t.tenant, t.changed",
        );
        let mut lease = self.lease().await?;
        let query = sqlx::query_as(sql.finish()).bind(names).persistent(false);
        let changed: Vec<(String, i64)> =
            run(&mut lease, async |conn| query.fetch_all(conn).await).await?;
        lease.settle().await;
        Ok(changed.into_iter().collect())
    }

    /// Ends the announcement, and writes the results: only a run that was alone in changing a tenant knows its result.
    pub(super) async fn end(&self, files: &str, notes: &[Note<'_>]) -> Result<(), Failure> {
        let mut sql = self.statement(
            "update ",
            " as t set \
               files = case when asked.complete and t.changing operator(pg_catalog.<=) 1 \
                 and t.changed operator(pg_catalog.=) asked.seen then $1::pg_catalog.text end, \
               changing = case when t.changing operator(pg_catalog.>) 0 \
                 then t.changing operator(pg_catalog.-) 1 else 0 end, \
               changed = t.changed operator(pg_catalog.+) 1, changed_at = pg_catalog.now(), \
               looked_at = pg_catalog.now(), server = asked.server, database = asked.database, schema = asked.schema, \
               epoch = asked.epoch, role = asked.role, database_oid = asked.database_oid, schema_oid = asked.schema_oid, \
               records_oid = asked.records_oid, records_file = asked.records_file ",
        );
        sql.text(ASKED).text(" where t.tenant operator(pg_catalog.=) asked.tenant");
        self.write(bind(sqlx::query(sql.finish()).bind(files), notes)).await
    }

    /// Writes what a run has seen of tenants that it did not change, unless they were changed since, or are being.
    pub(super) async fn note(&self, files: &str, notes: &[Note<'_>]) -> Result<(), Failure> {
        let mut sql = self.statement(
            "insert into ",
            " as t (tenant, files, server, database, schema, epoch, role, database_oid, schema_oid, records_oid, \
               records_file, changed, looked_at) \
             select asked.tenant, case when asked.complete then $1::pg_catalog.text end, asked.server, asked.database, asked.schema, \
               asked.epoch, asked.role, asked.database_oid, asked.schema_oid, asked.records_oid, asked.records_file, asked.seen, pg_catalog.now() ",
        );
        sql.text(ASKED).text(
            " order by 1 \
             on conflict (tenant) do update set files = excluded.files, server = excluded.server, \
               database = excluded.database, schema = excluded.schema, epoch = excluded.epoch, role = excluded.role, \
               database_oid = excluded.database_oid, schema_oid = excluded.schema_oid, \
               records_oid = excluded.records_oid, records_file = excluded.records_file, changing = 0, \
               looked_at = excluded.looked_at \
             where t.changed operator(pg_catalog.=) excluded.changed \
               and (t.changing operator(pg_catalog.=) 0 or t.changed_at operator(pg_catalog.<) \
                 (pg_catalog.now() operator(pg_catalog.-) '1 day'::pg_catalog.interval))",
        );
        self.write(bind(sqlx::query(sql.finish()).bind(files), notes)).await
    }

    async fn write(&self, query: Query<'_, sqlx::Postgres, PgArguments>) -> Result<(), Failure> {
        let mut lease = self.lease().await?;
        let query = query.persistent(false);
        let written = run(&mut lease, async |conn| query.execute(conn).await).await;
        lease.settle().await;
        written.map(drop)
    }
}

/// Binds the parameters from the second on.
fn bind<'q>(
    query: Query<'q, sqlx::Postgres, PgArguments>,
    notes: &[Note<'q>],
) -> Query<'q, sqlx::Postgres, PgArguments> {
    fn column<T>(notes: &[Note<'_>], of: impl Fn(&Note<'_>) -> T) -> Vec<T> {
        notes.iter().map(of).collect()
    }
    let seen = |of: fn(Seen) -> i64| column(notes, |note| note.complete.map_or(0, of));
    let names: Vec<&'q str> = notes.iter().map(|note| note.name).collect();
    let servers: Vec<&'q str> = notes.iter().map(|note| note.site.home.server()).collect();
    let databases: Vec<Option<&'q str>> =
        notes.iter().map(|note| note.site.home.database().map(Ident::as_str)).collect();
    let schemas: Vec<&'q str> = notes.iter().map(|note| note.site.schema.as_str()).collect();
    let roles: Vec<&'q str> = notes.iter().map(|note| role_of(note.site)).collect();
    query
        .bind(names)
        .bind(column(notes, |note| note.complete.is_some()))
        .bind(servers)
        .bind(databases)
        .bind(schemas)
        .bind(column(notes, |note| i64::try_from(note.site.epoch).unwrap_or_default()))
        .bind(roles)
        .bind(seen(|seen| seen.database))
        .bind(seen(|seen| seen.schema))
        .bind(seen(|seen| seen.records))
        .bind(seen(|seen| seen.file))
        .bind(column(notes, |note| note.changed))
}

/// A row of the table.
struct Named {
    name: String,
    remembered: Remembered,
}

impl<'r> FromRow<'r, sqlx::postgres::PgRow> for Named {
    fn from_row(row: &'r sqlx::postgres::PgRow) -> sqlx::Result<Self> {
        let seen = Seen {
            database: row.try_get(7)?,
            schema: row.try_get(8)?,
            records: row.try_get(9)?,
            file: row.try_get(10)?,
        };
        let remembered = Remembered {
            has_files: row.try_get(1)?,
            server: row.try_get(2)?,
            database: row.try_get(3)?,
            schema: row.try_get(4)?,
            epoch: row.try_get(5)?,
            role: row.try_get(6)?,
            seen,
            changed: row.try_get(11)?,
            looked_at: row.try_get(12)?,
        };
        Ok(Self { name: row.try_get(0)?, remembered })
    }
}

fn create(schema: &Ident) -> Sql {
    let mut sql = Sql::new("begin; select pg_catalog.pg_advisory_xact_lock(");
    sql.number(LOCK).text("); create table if not exists ").ident(schema).text(".").text(TABLE);
    sql.text(
        " (tenant pg_catalog.text primary key, files pg_catalog.text, \
         server pg_catalog.text not null default 'main', database pg_catalog.text, \
         schema pg_catalog.text not null default '', epoch pg_catalog.int8 not null default 0, \
         role pg_catalog.text not null default '', \
         database_oid pg_catalog.int8 not null default 0, schema_oid pg_catalog.int8 not null default 0, \
         records_oid pg_catalog.int8 not null default 0, records_file pg_catalog.int8 not null default 0, \
         changing pg_catalog.int4 not null default 0, changed pg_catalog.int8 not null default 0, \
         changed_at pg_catalog.timestamptz, looked_at pg_catalog.timestamptz); ",
    );
    keep_to_owner(&mut sql, schema, TABLE);
    sql.text("commit");
    sql
}

async fn is_there(conn: &mut PgConnection, schema: &str) -> sqlx::Result<bool> {
    let sql = "select exists (select from pg_catalog.pg_class c \
               join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
               where n.nspname operator(pg_catalog.=) $1::pg_catalog.text::pg_catalog.name \
               and c.relname operator(pg_catalog.=) $2::pg_catalog.text::pg_catalog.name \
               and c.relkind operator(pg_catalog.=) 'r'::pg_catalog.\"char\" \
               and pg_catalog.pg_has_role(current_user, c.relowner, 'usage'))";
    sqlx::query(sql).bind(schema).bind(TABLE).persistent(false).fetch_one(conn).await?.try_get(0)
}
