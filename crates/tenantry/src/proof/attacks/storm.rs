//! Many concurrent requests, half of which are dropped.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{Executor, Row, raw_sql};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        finding::{Attacked, Finding, Stop, code_of},
        ground::Ground,
    },
    cancelled::{Polls, polled},
    turns::OWNER,
};
use crate::db::TenantDb;

/// How long requests are cancelled.
const STORM: Duration = Duration::from_secs(2);

/// Concurrent requests per connection.
const PER_CONNECTION: usize = 4;

/// Sends requests of both tenants and drops half of them at arbitrary points.
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
    // Dropped requests are cleaned up in the background; then each tenant finds its own state as before.
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
    let mut random = ground.random(purpose);
    let (mut storm, mut polls) = (Storm::default(), Polls::new());
    while storm.read + storm.dropped + storm.failed < most && Instant::now() < until {
        let db = if random.usize(..2) == 0 { &ground.acme } else { &ground.globex };
        let most = if random.usize(..2) == 0 { usize::MAX } else { polls.draw(&mut random) };
        let answer = polled(most, request(db, random.usize(..5))).await;
        if most < usize::MAX {
            polls.learn(most, answer.is_some());
        }
        match answer {
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
                    // For example, a wait for a connection that timed out.
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
            tx.commit().await?;
            Ok(row)
        }
        _ => {
            let mut lease = db.acquire().await?;
            let mut tx = lease.begin().await?;
            owner().fetch_one(&mut *tx).await
        }
    }
}
