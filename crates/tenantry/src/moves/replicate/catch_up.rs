//! Waits for the target.

use std::time::{Duration, Instant};

use sqlx::{PgConnection, Row, SqlStr};
use tokio::time::sleep;

use super::{
    hold::hold_writers,
    names::{find_sql, name_of},
    pace::{PATIENCE, Pace, Step},
    subscription,
};
use crate::{
    clone::{CloneProgress, CloneStage},
    error::{Error, ErrorKind},
    moves::{MoveLag, MoveStage, ends::Ends, failure::Failure, id::MoveId, progress::Teller},
    sql::Sql,
    tenant::Ident,
};

/// How often the target is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long a copy may make no progress: without a privilege, PostgreSQL retries forever, with nothing but a line in
/// the log of the target.
const STUCK: Duration = Duration::from_secs(60);

/// How long a copy may make no progress because it waits for a transaction of the source, or for a worker.
const PATIENT: Duration = Duration::from_secs(600);

/// How often applying changes may fail. A source that is restarted is one failure.
const FAILURES: i64 = 3;

/// How often copying rows may fail. Several tables are copied at a time, and each is begun again.
const FAILURES_TO_COPY: i64 = 6;

/// How long requests wait for the marker of the fence.
const BRIEF: Duration = Duration::from_secs(5);

/// How often the target is asked for a marker.
const ASK_AGAIN: Duration = Duration::from_millis(2);

/// Waits until the rows of all tables are copied.
pub(in crate::moves) async fn await_copy(
    ends: &Ends,
    id: MoveId,
    teller: &Teller,
) -> Result<(), Failure> {
    let name = name_of(id);
    let (mut best, mut since) = (Advance::default(), Instant::now());
    let mut delayed_since = None;
    loop {
        let mut lease = ends.target.lease().await?;
        let (open, all) = subscription::progress(&mut lease, &name).await?;
        if open == 0 && all > 0 {
            return Ok(());
        }
        let advance = Advance { copied: all - open, size: size(&mut lease, ends).await? };
        let failures = subscription::failures(&mut lease, &name).await?.copying;
        drop(lease);
        if failures >= FAILURES_TO_COPY {
            let attempted = format!(
                "the target has failed {failures} times to copy the tenant's rows; its log says why"
            );
            return Err(Error::new(ErrorKind::Move, attempted).into());
        }
        if advance > best {
            (best, since, delayed_since) = (advance, Instant::now(), None);
            advance.tell(all, teller);
        } else if since.elapsed() > STUCK {
            let delay = delayed_by(ends, &name).await?;
            let began: Instant = *delayed_since.get_or_insert(since);
            if delay.is_none() || began.elapsed() > PATIENT {
                let why = delay.unwrap_or_else(|| "the log of the target says why".to_owned());
                let attempted = format!(
                    "copying the rows by replication: {open} of {all} tables make no progress; {why}"
                );
                return Err(Error::new(ErrorKind::Move, attempted).into());
            }
            // Once that is over, it has as long again to begin.
            since = Instant::now();
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// How far a copy has got. A table that is begun again is smaller than before, and is no advance until it is larger.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
struct Advance {
    /// The number of tables.
    copied: i64,
    /// The bytes of all.
    size: i64,
}

impl Advance {
    fn tell(self, tables: i64, teller: &Teller) {
        // One of the tables is that of the markers.
        let count = |tables: i64| usize::try_from(tables - 1).unwrap_or_default();
        let progress = CloneProgress {
            stage: CloneStage::Rows,
            table: None,
            tables: count(self.copied).min(count(tables)),
            tables_total: count(tables),
            rows: 0,
            bytes: u64::try_from(self.size).unwrap_or_default(),
        };
        teller.tell(MoveStage::Copying, false, Some(&progress));
    }
}

/// What the copy of a table waits for on the source: each begins with a slot, which is made when all transactions of the
/// server have ended that were open before. Parameter: the beginning of the slots' names.
const WAITS_FOR: &str = "select case when l.pid is null then 'a prepared transaction is open' \
      else pg_catalog.format('process %s of role %s has a transaction open', l.pid, a.usename) \
        operator(pg_catalog.||) coalesce(' since ' operator(pg_catalog.||) a.xact_start::pg_catalog.text, '') end \
    from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid operator(pg_catalog.=) l.pid \
    where l.locktype operator(pg_catalog.=) 'transactionid' and l.mode operator(pg_catalog.=) 'ExclusiveLock' \
      and l.granted and exists (select from pg_catalog.pg_replication_slots s where s.active and s.confirmed_flush_lsn is null \
        and pg_catalog.starts_with(s.slot_name::pg_catalog.text, $1)) \
    order by a.xact_start limit 1";

/// Whether all workers for replication of the target are in use.
const WORKERS_ARE_BUSY: &str = "select pg_catalog.current_setting('max_logical_replication_workers')::pg_catalog.int8 \
      operator(pg_catalog.<=) (select pg_catalog.count(*) from pg_catalog.pg_stat_subscription s where s.pid is not null)";

/// Returns what keeps the copies of tables from beginning, although nothing has failed.
async fn delayed_by(ends: &Ends, name: &Ident) -> Result<Option<String>, Error> {
    let mut lease = ends.target.lease().await?;
    let Some(oid) = subscription::find(&mut lease, name).await? else { return Ok(None) };
    let are_busy = sqlx::query_scalar(WORKERS_ARE_BUSY).persistent(false);
    if are_busy.fetch_one(&mut *lease).await? {
        let why = "all workers for logical replication of the target are in use: increase \
                   max_logical_replication_workers, or move fewer tenants at once";
        return Ok(Some(why.to_owned()));
    }
    drop(lease);
    let mut lease = ends.source.lease().await?;
    let waits_for = sqlx::query_scalar(WAITS_FOR).bind(format!("pg_{oid}_sync_")).persistent(false);
    Ok(waits_for.fetch_optional(&mut *lease).await?)
}

/// Returns the bytes of the schema on the target.
async fn size(conn: &mut PgConnection, ends: &Ends) -> Result<i64, Error> {
    let mut sql = Sql::new(
        "select coalesce(pg_catalog.sum(pg_catalog.pg_table_size(c.oid)), 0)::pg_catalog.int8 \
         from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
         where c.relkind operator(pg_catalog.=) 'r' and n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(ends.schema.as_str());
    Ok(sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)?)
}

/// Waits until the target has almost all changes. If the tenant writes faster than the target applies, its writers are
/// slowed down.
pub(in crate::moves) async fn catch_up(
    ends: &Ends,
    id: MoveId,
    teller: &Teller,
) -> Result<(), Failure> {
    let (began, mut pace) = (Instant::now(), Pace::default());
    let mut sql = Sql::new(
        "select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.confirmed_flush_lsn)::pg_catalog.int8 \
         from pg_catalog.pg_replication_slots s where s.slot_name operator(pg_catalog.=) ",
    );
    sql.literal(name_of(id).as_str());
    let sql = sql.finish();
    loop {
        let mut lease = ends.source.lease().await?;
        let row = sqlx::raw_sql(sql.clone()).fetch_optional(&mut *lease).await?;
        drop(lease);
        let gone = || Error::new(ErrorKind::Move, "its replication slot is gone from the source");
        let lag: i64 = row.ok_or_else(gone)?.try_get(0)?;
        teller.tell_behind(MoveLag::Bytes(u64::try_from(lag).unwrap_or_default()));
        let mut lease = ends.target.lease().await?;
        let failures = subscription::failures(&mut lease, &name_of(id)).await?.applying;
        drop(lease);
        if failures >= FAILURES {
            let attempted = format!(
                "the target has failed {failures} times to apply the tenant's changes; its log says why"
            );
            return Err(Error::new(ErrorKind::Move, attempted).into());
        }
        match pace.next(began.elapsed(), lag) {
            Step::Go => return Ok(()),
            Step::Wait(time) => sleep(time).await,
            Step::Hold(pause) => {
                sleep(pause).await;
                hold_writers(ends).await?;
            }
            Step::GiveUp => {
                let attempted = format!(
                    "the target does not catch up: after {PATIENCE:?} it is {lag} bytes of the log behind, although \
                     the tenant's writes were slowed down; move it when the servers have less to do"
                );
                return Err(Error::new(ErrorKind::Move, attempted).into());
            }
        }
    }
}

/// Waits until the marker of the fence is on the target, and so is everything before it.
pub(in crate::moves) async fn await_marker(ends: &Ends, id: MoveId) -> Result<(), Failure> {
    let mut lease = ends.target.lease().await?;
    match arrives(&mut lease, find_sql(&ends.book, &id.digits()), BRIEF).await? {
        true => Ok(()),
        false => {
            let attempted =
                format!("the last changes have not arrived on the target within {BRIEF:?}");
            Err(Error::new(ErrorKind::Move, attempted).into())
        }
    }
}

/// Waits until a marker is found. Returns `false` if it does not arrive in time.
pub(super) async fn arrives(
    target: &mut PgConnection,
    find: SqlStr,
    within: Duration,
) -> Result<bool, Error> {
    let began = Instant::now();
    while sqlx::raw_sql(find.clone()).fetch_optional(&mut *target).await?.is_none() {
        if began.elapsed() > within {
            return Ok(false);
        }
        sleep(ASK_AGAIN).await;
    }
    Ok(true)
}
