//! The lock of sqlx's own migrator, such as `sqlx migrate run`: one for the whole database.
//!
//! It is checked but never taken. `create index concurrently` of one tenant waits for the snapshots of all other
//! sessions, and a session that waits for a lock inside the server holds a snapshot.

use std::time::Duration;

use sqlx::Row;
use tokio::time::{Instant, sleep};

use super::{Failure, MigrateOptions, WhenLocked, survey::run};
use crate::{fleet::Fleet, sql::Sql};

/// The maximum wait for sqlx: it may hang, or migrate something else.
const PATIENCE: Duration = Duration::from_secs(30);

/// The interval between checks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Waits until sqlx's migrator is not active in the database, for a limited time.
///
/// # Cancel safety
///
/// Safe.
pub(super) async fn wait(fleet: &Fleet, options: &MigrateOptions) -> Result<(), Failure> {
    if options.when_locked == WhenLocked::Skip {
        return Ok(());
    }
    let deadline = Instant::now() + PATIENCE;
    while is_held(fleet).await? && !options.is_stopped() {
        if Instant::now() >= deadline {
            tracing::warn!(
                target: "tenantry::migrate",
                "sqlx's migrator has held its lock for {PATIENCE:?}: continuing alongside it"
            );
            break;
        }
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

async fn is_held(fleet: &Fleet) -> Result<bool, Failure> {
    let mut lease = fleet.lease().await?;
    let name = "select pg_catalog.current_database()::pg_catalog.text";
    let row = run(&mut lease, async |conn| sqlx::raw_sql(name).fetch_one(conn).await).await?;
    let key = key(row.try_get(0).map_err(Failure::from)?);
    let mut sql = Sql::new(
        "select exists (select from pg_catalog.pg_locks l \
         join pg_catalog.pg_database d on d.oid operator(pg_catalog.=) l.database \
         where l.locktype operator(pg_catalog.=) 'advisory' and l.granted \
         and l.objsubid operator(pg_catalog.=) 1 \
         and d.datname operator(pg_catalog.=) pg_catalog.current_database() \
         and (l.classid::pg_catalog.int8 operator(pg_catalog.<<) 32) operator(pg_catalog.|) \
         l.objid::pg_catalog.int8 operator(pg_catalog.=) ",
    );
    sql.integer(key).text(")");
    let row =
        run(&mut lease, async |conn| sqlx::raw_sql(sql.finish()).fetch_one(conn).await).await?;
    row.try_get(0).map_err(Failure::from)
}

/// Returns the key of sqlx's lock in a database of this name.
fn key(database: &str) -> i64 {
    0x3d32_ad9e * i64::from(crc32(database.as_bytes()))
}

/// The CRC-32 of Ethernet and gzip.
fn crc32(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_usual_checksum() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(key(""), 0);
    }
}
