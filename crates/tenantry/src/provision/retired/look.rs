//! Whether a session can still refer to the tenant that had a name or key.

use std::time::Duration;

use sqlx::{PgConnection, Row, SqlStr};

use super::{
    super::holders::{self, Held},
    InUse, KEPT, QUARANTINE, Retired,
};
use crate::{
    error::Error,
    pool::{KeyDigest, PINS, PINS_OF_KEYS, pin_hash},
    sql::Sql,
};

/// Since when a name or key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// Since it was retired.
    Retired,
    /// Since it was given up together with rows that are [kept](KEPT).
    Kept,
}

/// Checks whether a name or key is free: it was never retired, the name's schema is the one that had it before, or the
/// quarantine is over and so is every transaction that may have begun before its end.
pub(super) async fn look(
    conn: &mut PgConnection,
    retired: Retired<'_>,
) -> Result<Option<InUse>, Error> {
    match retired.has_table(conn).await? {
        true => look_into(conn, retired, Since::Retired).await,
        false => Ok(None),
    }
}

/// Checks the existing table for whether a name or key is free.
///
/// The server does not read its locks and its sessions at the same moment, so a transaction that begins in between has
/// a lock and no start. It is a new one, unless a second look finds it without a start again.
pub(super) async fn look_into(
    conn: &mut PgConnection,
    retired: Retired<'_>,
    since: Since,
) -> Result<Option<InUse>, Error> {
    let Some(first) = Look::take(conn, retired, since).await? else {
        return Ok(None);
    };
    if first.starting.is_empty() {
        return Ok(first.in_use(conn).await);
    }
    let Some(mut second) = Look::take(conn, retired, since).await? else {
        return Ok(None);
    };
    second.starting.retain(|transaction| first.starting.contains(transaction));
    second.unknown.append(&mut second.starting);
    Ok(second.in_use(conn).await)
}

/// What the server says about a name or key that was given up.
struct Look {
    /// Whether its owner has it again: the schema got its name back.
    is_back: bool,
    /// Seconds until the quarantine ends; negative afterwards.
    left: f64,
    /// Whether a session may refer to the tenant that had it.
    busy: bool,
    /// The processes of these sessions, and of transactions that are unknown.
    pids: Vec<i32>,
    /// Transactions of other roles: when they began is hidden.
    unknown: Vec<String>,
    /// Transactions that had not begun when the sessions were read, and hold a lock.
    starting: Vec<String>,
}

impl Look {
    /// Looks at a name or key; there is nothing to tell of one that was never retired.
    async fn take(
        conn: &mut PgConnection,
        retired: Retired<'_>,
        since: Since,
    ) -> Result<Option<Self>, Error> {
        let Some(row) = sqlx::raw_sql(look_sql(retired, since)).fetch_optional(conn).await? else {
            return Ok(None);
        };
        Ok(Some(Self {
            is_back: row.try_get("is_back")?,
            left: row.try_get("left")?,
            busy: row.try_get("busy")?,
            pids: row.try_get("pids")?,
            unknown: row.try_get("unknown")?,
            starting: row.try_get("starting")?,
        }))
    }

    /// Why it is not free, if it is not.
    async fn in_use(self, conn: &mut PgConnection) -> Option<InUse> {
        if self.is_back {
            return None;
        }
        if self.left > 0.0 {
            let retry_after = Duration::try_from_secs_f64(self.left).unwrap_or(QUARANTINE);
            return Some(InUse::Quarantined { retry_after });
        }
        if !self.busy && self.unknown.is_empty() {
            return None;
        }
        let who = holders::in_words(conn, Held::Processes(&self.pids)).await;
        Some(InUse::Open { unknown: self.unknown, who })
    }
}

/// Records the transactions that have to end, so that later ones are not waited for.
pub(super) async fn remember(
    conn: &mut PgConnection,
    retired: Retired<'_>,
    unknown: &[String],
) -> Result<(), Error> {
    let (schema, table) = retired.table();
    let mut sql = Sql::new("update ");
    sql.ident(schema).text(".").text(table).text(" set waits_for = array[");
    for (index, transaction) in unknown.iter().enumerate() {
        sql.text(if index == 0 { "" } else { ", " }).literal(transaction);
    }
    sql.text("]::pg_catalog.text[] where waits_for is null and ");
    retired.is_its(&mut sql);
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

/// Returns the row of a [`Look`] if the name or key was retired.
///
/// Every role sees a virtual transaction in [`pg_locks`](https://www.postgresql.org/docs/current/view-pg-locks.html);
/// only its own role sees when it, and its session, began. Transactions of other databases, and of the server itself,
/// are irrelevant. The sessions are read anew: a migration of the same transaction may have read them before.
fn look_sql(retired: Retired<'_>, since: Since) -> SqlStr {
    let mut sql = Sql::new("with retired as (select r.waits_for, ");
    is_back(&mut sql, retired);
    sql.text(" as is_back, ");
    pin_of(&mut sql, retired);
    sql.text(" as pin, r.retired_at");
    if since == Since::Kept {
        sql.text(" operator(pg_catalog.-) ").literal(KEPT).text("::pg_catalog.interval");
    }
    sql.text(" operator(pg_catalog.+) ");
    let seconds = format!("{}s", QUARANTINE.as_secs());
    sql.literal(&seconds).text("::pg_catalog.interval as free_at, ");
    sql.text("pg_catalog.pg_stat_clear_snapshot() from ");
    retired.rows(&mut sql);
    sql.text(
        "), here as (select d.oid from pg_catalog.pg_database d \
           where d.datname operator(pg_catalog.=) pg_catalog.current_database()), \
         running as (select l.virtualxid as id, l.pid, a.xact_start as since, \
             a.backend_start is null as hidden \
           from pg_catalog.pg_locks l \
           join pg_catalog.pg_stat_get_activity(null) a on a.pid operator(pg_catalog.=) l.pid \
           join here on a.datid operator(pg_catalog.=) here.oid \
           where l.locktype operator(pg_catalog.=) 'virtualxid' and l.granted \
           and l.mode operator(pg_catalog.=) 'ExclusiveLock' \
           and a.usesysid operator(pg_catalog.<>) 0::pg_catalog.oid \
           and l.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()), \
         pinning as (select l.pid from pg_catalog.pg_locks l \
           join here on l.database operator(pg_catalog.=) here.oid cross join retired r \
           where l.locktype operator(pg_catalog.=) 'advisory' \
           and l.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid() \
           and l.classid operator(pg_catalog.=) ",
    );
    let class = match retired {
        Retired::Name { .. } => PINS,
        Retired::Key { .. } => PINS_OF_KEYS,
    };
    sql.number(u64::from(class)).text(
        "::pg_catalog.oid and l.objid::pg_catalog.int8 operator(pg_catalog.=) r.pin \
           and l.objsubid operator(pg_catalog.=) 1) \
         select r.is_back, pg_catalog.date_part('epoch', \
           r.free_at operator(pg_catalog.-) pg_catalog.clock_timestamp()) as left, \
         exists (select from running t where t.since operator(pg_catalog.<=) r.free_at) \
         or exists (select from pinning) as busy, \
         coalesce((select pg_catalog.array_agg(o.pid) from (select t.pid from running t \
             where t.since operator(pg_catalog.<=) r.free_at or (t.hidden \
               and (r.waits_for is null or t.id operator(pg_catalog.=) any (r.waits_for))) \
             union select p.pid from pinning p) as o), '{}') as pids, \
         coalesce((select pg_catalog.array_agg(t.id) from running t where t.hidden \
           and (r.waits_for is null or t.id operator(pg_catalog.=) any (r.waits_for))), '{}') as unknown, \
         coalesce((select pg_catalog.array_agg(t.id) from running t \
           where t.since is null and not t.hidden), '{}') as starting \
         from retired r",
    );
    sql.finish()
}

/// Appends whether the schema that had a name has it again.
fn is_back(sql: &mut Sql, retired: Retired<'_>) {
    match retired {
        Retired::Name { name, .. } => {
            sql.text("coalesce(pg_catalog.to_regnamespace(").literal(&name.quoted().to_string());
            sql.text(")::pg_catalog.oid operator(pg_catalog.=) r.schema, false)");
        }
        Retired::Key { .. } => _ = sql.text("false"),
    }
}

/// Appends the low half of the key of the locks with which sessions pin the tenant that had it.
fn pin_of(sql: &mut Sql, retired: Retired<'_>) {
    match retired {
        Retired::Name { name, .. } => {
            sql.text("r.schema::pg_catalog.int8 operator(pg_catalog.#) ");
            sql.number(pin_hash(name).into()).text("::pg_catalog.int8");
        }
        Retired::Key { schema, key, .. } => {
            let hash = KeyDigest::of(schema, key).pin_hash();
            sql.number(hash.into()).text("::pg_catalog.int8");
        }
    }
}
