//! Many sessions and many requests at once.

use std::time::Duration;

use futures_util::future::{join, join_all};
use sqlx::{Connection, Executor, Row, raw_sql};
use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{
        chance::Chance,
        ground::{Attacked, Finding, Ground, Stop, code_of},
    },
    cancelled::{POLLS, polled},
    planting::BRIEFLY,
    turns::OWNER,
};
use crate::{
    db::TenantDb,
    pool::{Lease, Pooling},
};

/// How long requests are cancelled.
const STORM: Duration = Duration::from_secs(2);

/// Requests at once, for each connection.
const PER_CONNECTION: usize = 4;

const ALONE: &str = "the budget has one free connection, and this takes two";

/// Asks which backends answer on two connections.
pub(in crate::proof) async fn pooler(ground: &Ground<'_>) -> Attacked {
    if ground.connections < 2 {
        return Err(Stop::new(ALONE));
    }
    // The first two connections of a pool are compared when they are opened.
    let (one, other) = join(ground.acme.acquire(), ground.globex.acquire()).await;
    for lease in [&one?, &other?] {
        ground.met(lease.backend_pid());
    }
    let seen = "each connection keeps a server process of its own".to_owned();
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
    let mut leases = Vec::new();
    for number in 0..ground.connections {
        let db = if number % 2 == 0 { &ground.acme } else { &ground.globex };
        match timeout(BRIEFLY, db.acquire()).await {
            Ok(Ok(lease)) => leases.push((db, lease)),
            Ok(Err(error)) if leases.len() < 2 => return Err(error.into()),
            Err(_) if leases.len() < 2 => return Err(Stop::new("waited in vain for a connection")),
            _ => break,
        }
    }
    let mut chance = Chance::new(ground.seed, 2);
    let mut reads = 0;
    for round in 0..ground.options.rounds {
        let at = chance.below(leases.len());
        if let Some((db, lease)) = leases.get_mut(at) {
            reads += 1;
            ground.leak_all(read(ground, db, lease, round % 4 == 3).await?);
        }
        if round % 10 == 9 {
            // All at once, so that a pooler with several server processes uses them all.
            let all = leases.iter_mut().map(|(db, lease)| read(ground, db, lease, false));
            for found in join_all(all).await {
                reads += 1;
                ground.leak_all(found?);
            }
        }
    }
    let sessions = leases.len();
    let seen =
        format!("{reads} rows read on {sessions} sessions in any order, each the tenant's own");
    Ok(Finding { seen, rounds: u64::from(ground.options.rounds) })
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

/// Sends requests of both tenants and drops half of them anywhere.
pub(in crate::proof) async fn cancellation(ground: &Ground<'_>) -> Attacked {
    let until = Instant::now() + STORM;
    let requesters = (ground.connections * PER_CONNECTION).max(PER_CONNECTION);
    let each = u64::from(ground.options.rounds) * 4;
    let storm = (0..requesters).map(|number| requests(ground, number, each, until));
    let mut all = Storm::default();
    for storm in join_all(storm).await {
        let storm = storm?;
        all.read += storm.read;
        all.dropped += storm.dropped;
        all.failed += storm.failed;
    }
    let Storm { read, dropped, failed } = all;
    if read == 0 || dropped == 0 {
        return Err(Stop::new(format!("{read} requests were answered, {dropped} were dropped")));
    }
    // What was dropped is brought back to order in the background; then each tenant finds itself as before.
    for db in [&ground.acme, &ground.globex] {
        let owner = ground.look(db, "").await?.owner().to_owned();
        if owner != db.tenant().id().as_str() {
            ground.leak(format!("afterwards, tenant {} read the row of {owner}", db.tenant().id()));
        }
    }
    let seen = format!(
        "{requesters} requests at a time: {read} rows read, each the tenant's own; {dropped} requests dropped on \
         their way, {failed} failed"
    );
    Ok(Finding { seen, rounds: read + dropped })
}

#[derive(Debug, Default)]
struct Storm {
    read: u64,
    dropped: u64,
    failed: u64,
}

async fn requests(
    ground: &Ground<'_>,
    number: usize,
    most: u64,
    until: Instant,
) -> Result<Storm, Stop> {
    let purpose = u64::try_from(number).unwrap_or_default() + 1_000;
    let mut chance = Chance::new(ground.seed, purpose);
    let mut storm = Storm::default();
    while storm.read + storm.dropped + storm.failed < most && Instant::now() < until {
        let db = if chance.below(2) == 0 { &ground.acme } else { &ground.globex };
        let polls = if chance.below(2) == 0 { usize::MAX } else { chance.below(POLLS) };
        match polled(polls, request(db, chance.below(5))).await {
            None => storm.dropped += 1,
            Some(Ok(owner)) => {
                storm.read += 1;
                let id = db.tenant().id().as_str();
                if owner != id {
                    ground.leak(format!("tenant {id} read the row of {owner}"));
                }
            }
            Some(Err(error)) => {
                let found = code_of(error);
                storm.failed += 1;
                if let Ok(code) = found {
                    ground.leak(format!("a request of tenant {} failed: {code}", db.tenant().id()));
                } else {
                    // Such as a wait for a connection that was too long.
                    sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }
    Ok(storm)
}

async fn request(db: &TenantDb, kind: usize) -> sqlx::Result<String> {
    let owner = || sqlx::query_scalar::<_, String>(OWNER);
    match kind {
        0 => owner().fetch_one(db).await,
        1 => raw_sql(OWNER).fetch_one(db).await?.try_get(0),
        2 => {
            let mut lease = db.acquire().await?;
            lease.execute(raw_sql("create temp table planted (x int)")).await?;
            owner().fetch_one(&mut *lease).await
        }
        3 => {
            let mut tx = db.begin().await?;
            let row = owner().fetch_one(&mut *tx).await?;
            tx.commit().await.map_err(sqlx::Error::from)?;
            Ok(row)
        }
        _ => {
            let mut lease = db.acquire().await?;
            let mut tx = lease.begin().await?;
            owner().fetch_one(&mut *tx).await
        }
    }
}
