//! Several sessions, used in any order.

use futures_util::future::{join, join_all};
use sqlx::{Executor, Row, raw_sql};
use tokio::time::timeout;

use super::super::{
    finding::{Attacked, Finding, Stop, code_of},
    ground::{BRIEFLY, Ground},
};
use crate::{
    db::TenantDb,
    pool::{Lease, Pooling},
};

const ALONE: &str = "the budget has one free connection, and this takes two";

/// Determines which backends respond on two connections.
pub(in crate::proof) async fn pooler(ground: &Ground<'_>) -> Attacked {
    if ground.connections < 2 {
        return Err(Stop::new(ALONE));
    }
    // The first two connections of a pool are compared when they are opened.
    let (one, other) = join(ground.acme.acquire(), ground.globex.acquire()).await;
    for lease in [&one?, &other?] {
        ground.met(lease.backend_pid());
    }
    let seen = "each connection keeps its own server process".to_owned();
    match ground.fleet.server().pooling() {
        Pooling::Session => Ok(Finding { seen, rounds: 1 }),
        Pooling::Transaction => {
            let leak = "one server process answers on several connections: a pooler in transaction or statement mode";
            ground.leak(leak);
            Ok(Finding { seen, rounds: 1 })
        }
        Pooling::Unknown => Err(Stop::new("no two connections could be compared")),
    }
}

/// Binds several sessions, to the tenants in turn, then uses all of them in any order.
pub(in crate::proof) async fn sessions(ground: &Ground<'_>) -> Attacked {
    if ground.connections < 2 {
        return Err(Stop::new(ALONE));
    }
    let mut leases = bind_in_turn(ground).await?;
    let (mut random, mut reads) = (ground.random(2), 0);
    for round in 0..ground.options.rounds {
        if round % 10 == 0 {
            reads += read_all(ground, &mut leases).await?;
        }
        let at = random.usize(..leases.len());
        if let Some((db, lease)) = leases.get_mut(at) {
            reads += 1;
            ground.leak_all(read(ground, db, lease, round % 4 == 3).await?);
        }
    }
    let sessions = leases.len();
    let seen =
        format!("{reads} rows read on {sessions} sessions in any order, each the tenant's own");
    Ok(Finding { seen, rounds: u64::from(ground.options.rounds) })
}

/// Binds as many sessions as possible, to the tenants in turn.
async fn bind_in_turn<'g>(ground: &'g Ground<'_>) -> Result<Vec<(&'g TenantDb, Lease)>, Stop> {
    let mut leases = Vec::new();
    for number in 0..ground.connections {
        let db = if number % 2 == 0 { &ground.acme } else { &ground.globex };
        match timeout(BRIEFLY, db.acquire()).await {
            Ok(Ok(lease)) => {
                ground.met(lease.backend_pid());
                leases.push((db, lease));
            }
            Ok(Err(error)) if leases.len() < 2 => return Err(error.into()),
            Err(_) if leases.len() < 2 => return Err(Stop::new("no connection in time")),
            _ => break,
        }
    }
    Ok(leases)
}

/// Reads on all sessions, and returns the number of reads.
///
/// First one after the other: behind a pooler, each is served by the session that was bound last. Then all at once, so
/// that a pooler with several server processes uses them all.
async fn read_all(ground: &Ground<'_>, leases: &mut [(&TenantDb, Lease)]) -> Result<usize, Stop> {
    for (db, lease) in &mut *leases {
        ground.leak_all(read(ground, db, lease, false).await?);
    }
    let all = leases.iter_mut().map(|(db, lease)| read(ground, db, lease, false));
    for found in join_all(all).await {
        ground.leak_all(found?);
    }
    Ok(2 * leases.len())
}

/// Reads the tenant's row on its session. Returns what is wrong with it.
async fn read(
    ground: &Ground<'_>,
    db: &TenantDb,
    lease: &mut Lease,
    in_transaction: bool,
) -> Result<Option<String>, Stop> {
    let expected = db.tenant().id().as_str();
    let row = match in_transaction {
        true => {
            lease.execute(raw_sql("begin")).await?;
            let row = lease.fetch_optional(raw_sql(WHO)).await;
            lease.execute(raw_sql("commit")).await?;
            row
        }
        false => lease.fetch_optional(raw_sql(WHO)).await,
    };
    match row {
        Ok(Some(row)) => {
            let (owner, pid): (String, i32) = (row.try_get(0)?, row.try_get(1)?);
            ground.met(Some(pid));
            let wrong = owner != expected;
            Ok(wrong.then(|| {
                format!("the session of tenant {expected} read the row of {owner} on process {pid}")
            }))
        }
        Ok(None) => Ok(Some(format!("the session of tenant {expected} found its table empty"))),
        Err(error) => Ok(Some(format!("the session of tenant {expected}: {}", code_of(error)?))),
    }
}

const WHO: &str = "select owner, pg_catalog.pg_backend_pid() from marker";
