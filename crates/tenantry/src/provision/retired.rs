//! Retired schema names, and when they can be reused.
//!
//! A transaction that began before a tenant was renamed or dropped continues to look up tables by the schema's name.
//! If a new tenant got that name meanwhile, the transaction would run in the new tenant's schema. So a name is free
//! again only when no session can still refer to the old tenant by it.

use std::time::Duration;

use sqlx::{PgConnection, Row, SqlStr, postgres::types::Oid};

use super::Provisioner;
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER},
    pool::{PINS, SEEN_AS, keep_to_owner, pin_hash},
    sql::Sql,
    tenant::Ident,
};

/// The table of names that were given up, in the shared schema.
const TABLE: &str = "tenantry_retired";

/// The minimum time for which a name is reserved: twice the time for which a session is assumed to be in a tenant's
/// schema without a recheck, so that no statement can still begin for the old one.
const QUARANTINE: Duration = SEEN_AS.saturating_mul(2);

/// The lock for creating the table.
const LOCK: u64 = 7_234_619_037_116;

/// Ensures that the table exists. Not in a transaction: two of them would collide.
pub(super) async fn ensure_table(conn: &mut PgConnection, shared: &Ident) -> Result<(), Error> {
    if is_there(conn, shared).await? {
        return Ok(());
    }
    let mut sql = Sql::new("select pg_catalog.pg_advisory_xact_lock(");
    sql.number(LOCK).text("); create table if not exists ").ident(shared).text(".");
    sql.text(TABLE).text(
        " (name pg_catalog.text primary key, schema pg_catalog.oid not null, \
         retired_at pg_catalog.timestamptz not null, waits_for pg_catalog.text[])",
    );
    keep_to_owner(sql.text("; "), shared, TABLE);
    let made = sqlx::raw_sql(sql.finish()).execute(conn).await;
    made.map(drop).map_err(|error| {
        let attempted = format!(
            "the shared schema must have a table {TABLE}, so that names are not reused too soon, but it cannot be \
             created: grant the role create on {shared} once"
        );
        Error::new(ErrorKind::Database, attempted).with_source(error)
    })
}

/// Records that a name is retired by the schema that is called `now` from now on; the last statement before the
/// commit.
pub(super) fn note_sql(shared: &Ident, name: &Ident, now: &Ident) -> SqlStr {
    let mut sql = Sql::new("insert into ");
    sql.ident(shared).text(".");
    sql.text(TABLE).text(" (name, schema, retired_at) select ").literal(name.as_str());
    sql.text(
        ", n.oid, pg_catalog.clock_timestamp() from pg_catalog.pg_namespace n \
         where n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(now.as_str()).text(
        " on conflict (name) do update set schema = excluded.schema, \
         retired_at = excluded.retired_at, waits_for = null",
    );
    sql.finish()
}

/// Waits until no session pins the schema, within the transaction's `lock_timeout`, and keeps new ones out until the
/// end of the transaction.
pub(super) fn lock_out_sql(schema: &Ident) -> SqlStr {
    let mut sql = Sql::new("select pg_catalog.pg_advisory_xact_lock(");
    sql.integer(i64::from(PINS) << 32).text(
        "::pg_catalog.int8 operator(pg_catalog.|) (n.oid::pg_catalog.int8 operator(pg_catalog.#) ",
    );
    sql.number(pin_hash(schema).into()).text(
        "::pg_catalog.int8)) \
         from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str());
    sql.finish()
}

/// Why a name is not free.
#[derive(Debug)]
pub(super) enum InUse {
    /// The quarantine is not over.
    Quarantined { retry_after: Duration },
    /// A transaction or lease can still refer to the schema that had it. The ids are those of transactions whose start
    /// only their own role can see.
    Open { unknown: Vec<String> },
}

impl Provisioner {
    /// Refuses a name that is not free.
    pub(super) async fn refuse_name_in_use(&self, name: &Ident) -> Result<(), Error> {
        let shared = self.fleet.shared_site();
        let mut lease = self.fleet.lease().await?;
        let found = look(&mut lease, &shared.schema, name).await?;
        if let Some(InUse::Open { unknown }) = &found
            && !unknown.is_empty()
        {
            remember(&mut lease, &shared.schema, name, unknown).await?;
        }
        found.map_or(Ok(()), |found| Err(found.into()))
    }

    /// Claims a name in the transaction in which a schema got it, unless the name is reserved. The session that
    /// retired it has committed by now, or waits for this transaction.
    pub(super) async fn claim_name(
        &self,
        conn: &mut PgConnection,
        name: &Ident,
    ) -> Result<(), Error> {
        let shared = self.fleet.shared_site().schema;
        if is_there(conn, &shared).await? {
            if let Some(found) = look_into(conn, &shared, name).await? {
                return Err(found.into());
            }
            let mut sql = Sql::new("delete from ");
            sql.ident(&shared).text(".");
            sql.text(TABLE).text(" where name operator(pg_catalog.=) ").literal(name.as_str());
            sqlx::raw_sql(sql.finish()).execute(conn).await?;
        }
        Ok(())
    }
}

impl From<InUse> for Error {
    fn from(in_use: InUse) -> Self {
        let (attempted, after) = match in_use {
            InUse::Quarantined { retry_after: after } => (
                format!(
                    "the schema of that name was renamed or dropped less than {QUARANTINE:?} ago; try \
                     again in {after:.1?}"
                ),
                after,
            ),
            InUse::Open { .. } => (
                format!(
                    "a transaction or lease that began before the schema of that name was renamed or \
                     dropped is still open; end it, or try again in {RETRY_AFTER:.1?}"
                ),
                RETRY_AFTER,
            ),
        };
        Self::new(ErrorKind::NameInUse, attempted).with_retry_after(after)
    }
}

/// Checks whether a name is free: it was never retired, its schema is the one that had it before, or the quarantine
/// is over and so is every transaction that may have begun before its end.
async fn look(
    conn: &mut PgConnection,
    shared: &Ident,
    name: &Ident,
) -> Result<Option<InUse>, Error> {
    match is_there(conn, shared).await? {
        true => look_into(conn, shared, name).await,
        false => Ok(None),
    }
}

/// Checks the existing table for whether a name is free.
///
/// The server does not read its locks and its sessions at the same moment, so a transaction that begins in between has
/// a lock and no start. It is a new one, unless a second look finds it without a start again.
async fn look_into(
    conn: &mut PgConnection,
    shared: &Ident,
    name: &Ident,
) -> Result<Option<InUse>, Error> {
    let Some(first) = Look::take(conn, shared, name).await? else {
        return Ok(None);
    };
    if first.starting.is_empty() {
        return Ok(first.in_use());
    }
    let Some(mut second) = Look::take(conn, shared, name).await? else {
        return Ok(None);
    };
    second.starting.retain(|transaction| first.starting.contains(transaction));
    second.unknown.append(&mut second.starting);
    Ok(second.in_use())
}

/// What the server says about a retired name.
struct Look {
    /// The schema that had the name.
    before: Oid,
    /// The schema that has it now.
    now: Option<Oid>,
    /// Seconds until the quarantine ends; negative afterwards.
    left: f64,
    /// Whether a session may refer to the schema that had it.
    busy: bool,
    /// Transactions of other roles: when they began is hidden.
    unknown: Vec<String>,
    /// Transactions that had not begun when the sessions were read, and hold a lock.
    starting: Vec<String>,
}

impl Look {
    /// Looks at a name; there is nothing to tell of one that was never retired.
    async fn take(
        conn: &mut PgConnection,
        shared: &Ident,
        name: &Ident,
    ) -> Result<Option<Self>, Error> {
        let Some(row) = sqlx::raw_sql(look_sql(shared, name)).fetch_optional(conn).await? else {
            return Ok(None);
        };
        Ok(Some(Self {
            before: row.try_get("before")?,
            now: row.try_get("now")?,
            left: row.try_get("left")?,
            busy: row.try_get("busy")?,
            unknown: row.try_get("unknown")?,
            starting: row.try_get("starting")?,
        }))
    }

    /// Why the name is not free, if it is not.
    fn in_use(self) -> Option<InUse> {
        if self.now == Some(self.before) {
            return None;
        }
        if self.left > 0.0 {
            let retry_after = Duration::try_from_secs_f64(self.left).unwrap_or(QUARANTINE);
            return Some(InUse::Quarantined { retry_after });
        }
        let is_open = self.busy || !self.unknown.is_empty();
        is_open.then_some(InUse::Open { unknown: self.unknown })
    }
}

/// Records the transactions that have to end, so that later ones are not waited for.
async fn remember(
    conn: &mut PgConnection,
    shared: &Ident,
    name: &Ident,
    unknown: &[String],
) -> Result<(), Error> {
    let mut sql = Sql::new("update ");
    sql.ident(shared).text(".");
    sql.text(TABLE).text(" set waits_for = array[");
    for (index, transaction) in unknown.iter().enumerate() {
        sql.text(if index == 0 { "" } else { ", " }).literal(transaction);
    }
    sql.text("]::pg_catalog.text[] where waits_for is null and name operator(pg_catalog.=) ");
    sql.literal(name.as_str());
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

/// Returns the row of a [`Look`] if the name was retired.
///
/// Every role sees a virtual transaction in [`pg_locks`](https://www.postgresql.org/docs/current/view-pg-locks.html);
/// only its own role sees when it, and its session, began. Transactions of other databases, and of the server itself,
/// are irrelevant. The sessions are read anew: a migration of the same transaction may have read them before.
fn look_sql(shared: &Ident, name: &Ident) -> SqlStr {
    let mut sql = Sql::new(
        "with retired as (select r.schema, r.waits_for, r.retired_at operator(pg_catalog.+) ",
    );
    let seconds = format!("{}s", QUARANTINE.as_secs());
    sql.literal(&seconds).text("::pg_catalog.interval as free_at, ");
    sql.text("pg_catalog.pg_stat_clear_snapshot() from ").ident(shared).text(".");
    sql.text(TABLE).text(" r where r.name operator(pg_catalog.=) ").literal(name.as_str());
    sql.text(
        "), here as (select d.oid from pg_catalog.pg_database d \
           where d.datname operator(pg_catalog.=) pg_catalog.current_database()), \
         running as (select l.virtualxid as id, a.xact_start as since, \
             a.backend_start is null as hidden \
           from pg_catalog.pg_locks l \
           join pg_catalog.pg_stat_get_activity(null) a on a.pid operator(pg_catalog.=) l.pid \
           join here on a.datid operator(pg_catalog.=) here.oid \
           where l.locktype operator(pg_catalog.=) 'virtualxid' and l.granted \
           and l.mode operator(pg_catalog.=) 'ExclusiveLock' \
           and a.usesysid operator(pg_catalog.<>) 0::pg_catalog.oid \
           and l.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()) \
         select r.schema as before, pg_catalog.to_regnamespace(",
    );
    sql.literal(&name.quoted().to_string()).text(
        ")::pg_catalog.oid as now, pg_catalog.date_part('epoch', \
           r.free_at operator(pg_catalog.-) pg_catalog.clock_timestamp()) as left, \
         exists (select from running t where t.since operator(pg_catalog.<=) r.free_at) \
         or exists (select from pg_catalog.pg_locks l \
           join here on l.database operator(pg_catalog.=) here.oid \
           where l.locktype operator(pg_catalog.=) 'advisory' \
           and l.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid() \
           and l.classid operator(pg_catalog.=) ",
    );
    sql.number(u64::from(PINS)).text(
        "::pg_catalog.oid and l.objid::pg_catalog.int8 operator(pg_catalog.=) \
           (r.schema::pg_catalog.int8 operator(pg_catalog.#) ",
    );
    sql.number(pin_hash(name).into()).text(
        "::pg_catalog.int8) and l.objsubid operator(pg_catalog.=) 1) as busy, \
         coalesce((select pg_catalog.array_agg(t.id) from running t where t.hidden \
           and (r.waits_for is null or t.id operator(pg_catalog.=) any (r.waits_for))), '{}') as unknown, \
         coalesce((select pg_catalog.array_agg(t.id) from running t \
           where t.since is null and not t.hidden), '{}') as starting \
         from retired r",
    );
    sql.finish()
}

async fn is_there(conn: &mut PgConnection, shared: &Ident) -> Result<bool, Error> {
    let mut sql = Sql::new("select pg_catalog.to_regclass(");
    sql.literal(&format!("{}.{TABLE}", shared.quoted())).text(") is not null");
    Ok(sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)?)
}
