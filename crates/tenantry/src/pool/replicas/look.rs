use std::str::FromStr;

use sqlx::{Executor, PgConnection, Row, postgres::types::Oid, raw_sql};

use super::lsn::{History, Lsn, Pages};

/// Asks a server where it is in its log.
///
/// A server in recovery tells its timeline in three ways, each of which may lag behind. That of the
/// receiver is shown to members of `pg_read_all_stats` only.
const LOOK: &str = "\
    select c.system_identifier, pg_catalog.pg_is_in_recovery() as in_recovery, \
      case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()::pg_catalog.text \
        else pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text end as lsn, \
      case when not pg_catalog.pg_is_in_recovery() then \
        pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) end as file, \
      greatest( \
        (select p.timeline_id from pg_catalog.pg_control_checkpoint() p), \
        (select r.min_recovery_end_timeline from pg_catalog.pg_control_recovery() r), \
        (select w.received_tli from pg_catalog.pg_stat_wal_receiver w)) as timeline, \
      i.wal_block_size, i.bytes_per_wal_segment, \
      (select d.oid from pg_catalog.pg_database d \
         where d.datname operator(pg_catalog.=) pg_catalog.current_database()) as database \
    from pg_catalog.pg_control_system() c, pg_catalog.pg_control_init() i";

/// Where a server is in its log.
#[derive(Debug, Clone, Copy)]
pub(in crate::pool) struct Seen {
    pub(in crate::pool) history: History,
    pub(in crate::pool) in_recovery: bool,
    /// In recovery, how far it has replayed the log. Otherwise the end of what was committed.
    pub(in crate::pool) lsn: Lsn,
    /// The OID of the database of the connection, which all copies of a cluster have in common.
    pub(in crate::pool) database: u32,
}

/// Asks the server behind a connection. One round trip.
pub(in crate::pool) async fn look(conn: &mut PgConnection) -> sqlx::Result<Seen> {
    let row = conn.fetch_one(raw_sql(LOOK)).await?;
    let system: i64 = row.try_get("system_identifier")?;
    let in_recovery = row.try_get("in_recovery")?;
    let lsn = row.try_get::<Option<&str>, _>("lsn")?;
    // A server that has just started has not replayed anything.
    let lsn = lsn.map_or(Ok(Lsn::default()), Lsn::from_str).map_err(|()| unreadable("lsn"))?;
    let timeline = match row.try_get::<Option<&str>, _>("file")? {
        Some(file) => {
            let digits = file.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
            digits.ok_or_else(|| unreadable("file"))?
        }
        None => row.try_get::<i32, _>("timeline")?.cast_unsigned(),
    };
    let size =
        |column: &str| row.try_get::<i32, _>(column).map(|size| u64::from(size.unsigned_abs()));
    let pages = Pages { page: size("wal_block_size")?, segment: size("bytes_per_wal_segment")? };
    Ok(Seen {
        history: History { system: system.cast_unsigned(), timeline },
        in_recovery,
        lsn: if in_recovery { lsn } else { lsn.end_of_record(pages) },
        database: row.try_get::<Oid, _>("database")?.0,
    })
}

fn unreadable(column: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "not in PostgreSQL's form".into(),
    }
}
