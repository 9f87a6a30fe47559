//! Behind a pooler that shares server sessions, what the attacks have left there would reach other clients.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;
use sqlx::{Row, raw_sql};
use tokio::time::timeout;

use super::planting::BRIEFLY;
use crate::pool::{Lease, Server};

/// How often all connections are used to reach the server processes that were met.
const ROUNDS: usize = 50;

/// Everything that the library and the attacks have set goes back to what a new session has. From the second
/// `begin` on it is one transaction, which a pooler leaves on one server process.
const PRISTINE: &str = "begin; rollback; begin; reset session authorization; reset role; reset all; close all; \
    unlisten *; discard temp; discard sequences; select pg_catalog.pg_backend_pid() from \
    (select pg_catalog.pg_advisory_unlock_all()) unlocked; commit";

/// Takes everything off the server sessions that were met, as far as they can be reached, and closes the
/// connections.
pub(in crate::proof) async fn scrub(server: &Arc<Server>, met: &BTreeSet<i32>) {
    let mut leases = Vec::new();
    while leases.len() < server.max_connections() {
        match timeout(BRIEFLY, server.acquire_for_upkeep()).await {
            Ok(Ok(lease)) => leases.push(lease),
            _ => break,
        }
    }
    let (mut clean, mut round) = (BTreeSet::new(), 0);
    while round < ROUNDS && (round < 2 || !met.is_subset(&clean)) {
        round += 1;
        let all = timeout(BRIEFLY, join_all(leases.iter_mut().map(pristine))).await;
        clean.extend(all.into_iter().flatten().flatten());
    }
    // As they are now, and not bound again.
    join_all(leases.into_iter().map(|lease| timeout(BRIEFLY, lease.leave_place()))).await;
}

async fn pristine(lease: &mut Lease) -> Option<i32> {
    let rows = raw_sql(PRISTINE).fetch_all(&mut **lease).await.ok()?;
    rows.iter().find_map(|row| row.try_get(0).ok())
}
