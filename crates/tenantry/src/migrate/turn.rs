//! Serializes runs over all tenants, for a limited time.

use std::time::Duration;

use sqlx::Row;
use tokio::time::{Instant, sleep};

use super::{Failure, MigrateOptions, WhenLocked, survey::run};
use crate::{fleet::Fleet, pool::Lease, sql::Sql};

/// How long a run waits for another to end before it works alongside it. Two concurrent runs share the work, but each
/// has to check what the other has done; a run that hangs must not block all others.
const PATIENCE: Duration = Duration::from_secs(30);

/// The interval between checks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits until no other run over all tenants is in progress. The lease holds the lock that announces our run to
/// others; there is none if the wait timed out, or if no connection would be left to work on.
///
/// # Cancel safety
///
/// Safe: the lock goes with the lease.
pub(super) async fn take(
    fleet: &Fleet,
    options: &MigrateOptions,
) -> Result<Option<Lease>, Failure> {
    if fleet.server().places_for_upkeep() < 2 || options.when_locked == WhenLocked::Skip {
        return Ok(None);
    }
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && !options.is_stopped() {
        // While waiting, no connection is held.
        let mut lease = fleet.lease().await?;
        if try_lock(&mut lease).await? {
            return Ok(Some(lease));
        }
        drop(lease);
        sleep(LOOK_AGAIN).await;
    }
    Ok(None)
}

async fn try_lock(lease: &mut Lease) -> Result<bool, Failure> {
    let mut sql = Sql::new("select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(");
    sql.literal("a run of tenantry over all tenants").text(", 7234619037115))");
    let row = run(lease, async |conn| sqlx::raw_sql(sql.finish()).fetch_one(conn).await).await?;
    row.try_get(0).map_err(Failure::from)
}
