//! Cleans the server sessions behind a pooler that shares them, because state that the attacks left there would reach
//! other clients.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use sqlx::{Row, raw_sql};
use tokio::{
    sync::Barrier,
    time::{Instant, timeout, timeout_at},
};

use super::ground::BRIEFLY;
use crate::pool::{Lease, Server};

/// How often all connections are used in order to reach the server processes that the attacks used.
const ROUNDS: usize = 50;

/// How long a transaction stays open to let the others begin.
const TOGETHER: Duration = Duration::from_millis(250);

/// Takes a server process, whatever transaction the attacks have left open there.
const BEGIN: &str = "begin; rollback; begin";

/// Resets everything that the library and the attacks have set to the state of a new session.
const PRISTINE: &str = "reset session authorization; reset role; reset all; close all; unlisten *; discard temp; \
    discard sequences; select pg_catalog.pg_backend_pid() from \
    (select pg_catalog.pg_advisory_unlock_all()) unlocked; commit";

/// Resets the server sessions that the attacks used, as far as they can be reached, and closes the connections.
///
/// A pooler may repeatedly hand out the process that was used last. So all connections begin before the first one
/// ends: each then holds a separate process.
pub(super) async fn scrub(server: &Arc<Server>, met: &BTreeSet<i32>) {
    let mut leases = Vec::new();
    while leases.len() < server.max_connections() {
        match timeout(BRIEFLY, server.acquire_for_upkeep()).await {
            Ok(Ok(lease)) => leases.push(lease),
            _ => break,
        }
    }
    let mut clean = BTreeSet::new();
    for round in 1..=ROUNDS {
        let (all, until) = (Barrier::new(leases.len()), Instant::now() + TOGETHER);
        let pristine = leases.iter_mut().map(|lease| pristine(lease, &all, until));
        let reached = timeout(BRIEFLY, join_all(pristine)).await.unwrap_or_default();
        // A connection waits for a process only if the pooler has no more of them.
        let met_all_there_are = reached.iter().any(|reached| !reached.together);
        clean.extend(reached.iter().filter_map(|reached| reached.process));
        if round > 1 && (met_all_there_are || met.is_subset(&clean)) {
            break;
        }
    }
    // In their current state, without binding them again.
    join_all(leases.into_iter().map(|lease| timeout(BRIEFLY, lease.leave_place()))).await;
}

#[derive(Debug, Default)]
struct Reached {
    /// The server process that is clean now.
    process: Option<i32>,
    /// All connections had a process at the same time.
    together: bool,
}

/// Takes a server process, holds it until all have one or the time is up, and cleans it.
async fn pristine(lease: &mut Lease, all: &Barrier, until: Instant) -> Reached {
    if raw_sql(BEGIN).execute(&mut **lease).await.is_err() {
        return Reached::default();
    }
    let together = timeout_at(until, all.wait()).await.is_ok();
    let rows = raw_sql(PRISTINE).fetch_all(&mut **lease).await.unwrap_or_default();
    Reached { process: rows.iter().find_map(|row| row.try_get(0).ok()), together }
}
