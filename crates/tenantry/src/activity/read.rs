//! Reads a server's statistics, in two statements.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use sqlx::{Row, postgres::PgRow};

use super::{
    ActivityOptions, Connections, DatabaseTotals, TopStatement, Unseen,
    databases::TenantDatabases,
    gather::Session,
    statements::{self, Statements},
};
use crate::{db::SharedDb, error::Error, fleet::Fleet};

/// Properties of the server and the database.
struct Standing {
    at: SystemTime,
    version: String,
    connections: Connections,
    totals: DatabaseTotals,
    tracks_activities: bool,
    tracks_counts: bool,
}

/// Figures of one server.
pub(super) struct Reading {
    pub(super) at: SystemTime,
    pub(super) version: String,
    pub(super) connections: Connections,
    pub(super) totals: DatabaseTotals,
    pub(super) sessions: Vec<Session>,
    pub(super) statements: Option<Vec<TopStatement>>,
    pub(super) unseen: Vec<Unseen>,
}

/// Reads the view that a fleet's server has of its load. Its sessions have no server yet.
///
/// # Cancel safety
///
/// Safe.
pub(super) async fn read(
    fleet: &Fleet,
    options: &ActivityOptions,
    databases: &TenantDatabases,
) -> Result<Reading, Error> {
    let system = fleet.system_here();
    let standing = standing(&system).await?;
    let mut unseen = standing.untracked();
    let found = sessions(&system, options).await?;
    let statements = top_statements(&system, options, &mut unseen).await?;
    let mut sessions = Vec::with_capacity(found.len());
    for session in found {
        let is_ours = match &session.database {
            Some(database) => databases.has(fleet, database).await,
            None => true,
        };
        sessions.extend(is_ours.then_some(session));
    }
    let Standing { at, version, connections, totals, .. } = standing;
    Ok(Reading { at, version, connections, totals, sessions, statements, unseen })
}

/// Reads the statements with the highest total time, if wanted.
async fn top_statements(
    system: &SharedDb,
    options: &ActivityOptions,
    unseen: &mut Vec<Unseen>,
) -> Result<Option<Vec<TopStatement>>, Error> {
    if options.top_statements == 0 {
        return Ok(None);
    }
    match statements::read(system, options.top_statements, options.text_length).await? {
        Statements::Read(statements) => Ok(Some(statements)),
        Statements::Unreadable(why) => {
            unseen.push(Unseen::new("the statements with the highest total time", why));
            Ok(None)
        }
    }
}

impl Standing {
    /// Returns what the server does not track.
    fn untracked(&self) -> Vec<Unseen> {
        let mut unseen = Vec::new();
        if !self.tracks_activities {
            let why = "track_activities is off on the server";
            unseen.push(Unseen::new("states and statements of sessions", why));
        }
        if !self.tracks_counts {
            let why = "track_counts is off on the server";
            unseen.push(Unseen::new("rows read and changed", why));
        }
        unseen
    }
}

async fn standing(system: &SharedDb) -> Result<Standing, Error> {
    let row = sqlx::query(STANDING).fetch_one(system).await?;
    let count = |column: &str| -> Result<u32, sqlx::Error> {
        let count: i64 = row.try_get(column)?;
        Ok(u32::try_from(count).unwrap_or_default())
    };
    let at: i64 = row.try_get("now")?;
    let since = Duration::from_micros(u64::try_from(at).unwrap_or_default());
    Ok(Standing {
        at: SystemTime::UNIX_EPOCH + since,
        version: row.try_get("version")?,
        connections: Connections {
            max: count("max")?,
            reserved: count("reserved")?,
            used: count("used")?,
        },
        totals: totals(&row)?,
        tracks_activities: row.try_get("tracks_activities")?,
        tracks_counts: row.try_get("tracks_counts")?,
    })
}

fn totals(row: &PgRow) -> Result<DatabaseTotals, sqlx::Error> {
    Ok(DatabaseTotals {
        commits: row.try_get("xact_commit")?,
        rollbacks: row.try_get("xact_rollback")?,
        blocks_read: row.try_get("blks_read")?,
        blocks_hit: row.try_get("blks_hit")?,
        rows_returned: row.try_get("tup_returned")?,
        rows_changed: row.try_get("tup_changed")?,
        temp_bytes: row.try_get("temp_bytes")?,
        deadlocks: row.try_get("deadlocks")?,
        reset: row.try_get("stats_reset")?,
    })
}

async fn sessions(system: &SharedDb, options: &ActivityOptions) -> Result<Vec<Session>, Error> {
    let rows = sqlx::query(SESSIONS)
        .bind(options.slow_after.as_secs_f64())
        .bind(i32::from(options.text_length))
        .fetch_all(system)
        .await?;
    let sessions: Result<_, sqlx::Error> = rows.iter().map(session).collect();
    Ok(sessions?)
}

fn session(row: &PgRow) -> Result<Session, sqlx::Error> {
    let text = |column| row.try_get::<Option<String>, _>(column);
    let time = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<f64>, _>(column)?.map(seconds));
    Ok(Session {
        server: None,
        database: text("other_database")?.map(Arc::from),
        pid: row.try_get("pid")?,
        name: text("application_name")?.unwrap_or_default(),
        user: text("usename")?.unwrap_or_default(),
        state: text("state")?,
        wait: text("wait_event_type")?.zip(text("wait_event")?),
        in_transaction: time("in_transaction")?,
        in_statement: time("in_statement")?,
        blocked_by: row.try_get("blocked_by")?,
        text: text("text")?,
        is_hidden: row.try_get("is_hidden")?,
    })
}

/// Converts a duration from the server. After a clock change it can be negative.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// The kind of another role's session is hidden with the rest; such a session that has a role is a
/// client.
const STANDING: &str = "\
    select (extract(epoch from pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000000) \
        ::pg_catalog.int8 as now, \
      pg_catalog.current_setting('server_version') as version, \
      pg_catalog.current_setting('max_connections')::pg_catalog.int8 as max, \
      pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int8 operator(pg_catalog.+) \
        coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::pg_catalog.int8 as reserved, \
      (select pg_catalog.count(*) from pg_catalog.pg_stat_activity a \
        where coalesce(a.backend_type operator(pg_catalog.=) 'client backend', \
          a.usesysid is not null)) as used, \
      pg_catalog.current_setting('track_activities')::pg_catalog.bool as tracks_activities, \
      pg_catalog.current_setting('track_counts')::pg_catalog.bool as tracks_counts, \
      d.xact_commit, d.xact_rollback, d.blks_read, d.blks_hit, d.tup_returned, \
      d.tup_inserted operator(pg_catalog.+) d.tup_updated operator(pg_catalog.+) d.tup_deleted \
        as tup_changed, \
      d.temp_bytes, d.deadlocks, \
      (extract(epoch from d.stats_reset) operator(pg_catalog.*) 1000000)::pg_catalog.int8 as stats_reset \
    from pg_catalog.pg_stat_database d \
    where d.datname operator(pg_catalog.=) pg_catalog.current_database()";

/// Blockers are queried only for sessions that wait for a lock, because the query briefly stops the
/// lock manager. Other databases can be tenants' own if a process of Tenantry is connected to them.
const SESSIONS: &str = "\
    with other as materialized ( \
      select distinct s.datname from pg_catalog.pg_stat_activity s \
      where pg_catalog.starts_with(s.application_name, 'tenantry/') \
      and s.datname operator(pg_catalog.<>) pg_catalog.current_database()) \
    select case when a.datname operator(pg_catalog.<>) pg_catalog.current_database() \
        then a.datname::pg_catalog.text end as other_database, \
      a.pid, a.application_name, a.usename::pg_catalog.text, a.state, a.wait_event_type, a.wait_event, \
      extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) a.xact_start) \
        ::pg_catalog.float8 as in_transaction, \
      extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) a.query_start) \
        ::pg_catalog.float8 as in_statement, \
      case when a.wait_event_type operator(pg_catalog.=) 'Lock' \
        then pg_catalog.pg_blocking_pids(a.pid) end as blocked_by, \
      case when a.state operator(pg_catalog.=) 'active' \
          and extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) a.query_start) \
            ::pg_catalog.float8 operator(pg_catalog.>=) $1 \
        then pg_catalog.left(a.query, $2) end as text, \
      coalesce(a.query operator(pg_catalog.=) '<insufficient privilege>', false) as is_hidden \
    from pg_catalog.pg_stat_activity a \
    where (a.datname operator(pg_catalog.=) pg_catalog.current_database() \
      or exists (select from other o where o.datname operator(pg_catalog.=) a.datname)) \
    and a.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid() \
    and coalesce(a.backend_type operator(pg_catalog.=) 'client backend', a.usesysid is not null)";
