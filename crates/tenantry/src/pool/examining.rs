//! What replicas say when they are asked: where they are, whether they give connections, whether one was promoted.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    lease::Lease,
    replicas::{Case, Instance, Judgement, Lsn, Seen, Shortfall, WAIT, judge},
    server::{Replica, ReplicaStatus, Replicas},
    session::Purpose,
};
use crate::{
    error::{Error, ErrorKind},
    event::ReplicaState,
};

/// The longest that a read waits for a connection to a replica.
const CONNECTS_WITHIN: Duration = Duration::from_secs(1);

/// The time between two searches for a promoted replica, at least.
const SEARCHES_EVERY: Duration = Duration::from_secs(1);

impl Replicas {
    /// Asks the primary and each replica where they are, and returns what the replicas are good for, by name.
    pub(crate) async fn examine(self: &Arc<Self>) -> Vec<ReplicaStatus> {
        // Without an answer of the primary, they are compared with an older one, if any.
        let _ = self.ask(self.now()).await;
        let examined = self.all().map(|replica| async move {
            self.ask_and_note(replica, replica.server.options.acquire_timeout).await;
        });
        join_all(examined).await;
        self.statuses().collect()
    }

    /// Asks a replica in the background whether it gives connections, so that no read waits for it.
    pub(super) fn probe(self: &Arc<Self>, replica: &Arc<Replica>) {
        let Some(primary) = self.primary.upgrade() else { return };
        let Some(probe) = replica.standing.begin_probe() else { return };
        let (replicas, replica) = (Arc::clone(self), Arc::clone(replica));
        primary.start();
        primary.spawn(async move {
            let _ = replicas.ask(replicas.now()).await;
            replicas.ask_and_note(&replica, replica.connects_within()).await;
            drop(probe);
        });
    }

    async fn ask_and_note(&self, replica: &Replica, limit: Duration) {
        let found = self.ask_replica(replica, limit).await;
        let (state, lag) = found.unwrap_or((ReplicaState::Away, None));
        replica.note_state(state, lag);
    }

    async fn ask_replica(
        &self,
        replica: &Replica,
        limit: Duration,
    ) -> Option<(ReplicaState, Option<u64>)> {
        let server = &replica.server;
        let lease = server.acquire_within(limit, server.system(), Purpose::Read).await;
        let mut lease = lease.ok()?;
        let seen = lease.look().await.ok()?;
        self.note_promoted(&seen);
        let instance = replica.note_seen(&lease, seen);
        let newest = self.trail.lock().newest();
        let lag = newest.map(|newest| instance.lsn.behind(newest.lsn));
        let trail = self.trail.lock();
        let judged = judge(Case {
            instance: Some(instance),
            is_fresh: true,
            is_elsewhere: false,
            required: Lsn::default(),
            bound: Some(instance.lsn),
            trail: &trail,
            limits: replica.limits,
            now: self.now(),
        });
        Some(match judged {
            Judgement::Not(Shortfall::Lagging) => (ReplicaState::Lagging, lag),
            Judgement::Not(Shortfall::Unrelated) => (ReplicaState::Unrelated, None),
            Judgement::Not(_) | Judgement::Ask | Judgement::Rebind => (ReplicaState::Unknown, None),
            Judgement::Serve => (ReplicaState::InUse, lag),
        })
    }

    /// Finds out whether a replica was promoted, as a token of a later timeline says. Anyone can make up such a token:
    /// it is done at most once a second.
    pub(super) async fn search_promoted(&self) {
        let (now, next) = (self.now(), self.next_search.load(Ordering::Relaxed));
        let after = u64::try_from((now + SEARCHES_EVERY).as_nanos()).unwrap_or(u64::MAX);
        let is_ours = now >= Duration::from_nanos(next)
            && self
                .next_search
                .compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_ours {
            let asked = self.all().map(|replica| self.ask_replica(replica, WAIT));
            // The read goes to the primary that is known then.
            let _ = timeout(WAIT, join_all(asked)).await;
        }
    }

    /// Leaves the former primary if a replica has been promoted.
    pub(super) fn note_promoted(&self, seen: &Seen) {
        if let Some(primary) = self.primary.upgrade()
            && let Some(lineage) = primary.connector.lineage.as_ref().filter(|_| !seen.in_recovery)
        {
            lineage.note(seen.history);
        }
    }

    /// Records that a replica has given no connection, and returns why the read goes to the primary. What
    /// concerns the tenant only keeps no other from the replica.
    pub(super) fn note_refusal(
        self: &Arc<Self>,
        replica: &Arc<Replica>,
        error: &Error,
    ) -> Shortfall {
        match error.kind() {
            // It has not replayed the creation of the tenant, or has replayed its end.
            ErrorKind::StaleHandle | ErrorKind::Placement => return Shortfall::Behind,
            // The server is away or hangs, or the tenant's login fails, or it has all connections that it may have.
            ErrorKind::Unavailable | ErrorKind::Timeout => self.probe(replica),
            _ => {}
        }
        Shortfall::Away
    }
}

/// Returns `true` if a connection is to the database of a tenant, and not to the one that the URL names.
pub(super) fn is_elsewhere(lease: &Lease) -> bool {
    lease.occupant().home().database().is_some()
}

impl Replica {
    /// Returns the longest that a read waits for a connection.
    pub(super) fn connects_within(&self) -> Duration {
        CONNECTS_WITHIN.min(self.server.options.acquire_timeout)
    }

    /// Records what a server has said on a connection, and returns that.
    pub(super) fn note_seen(&self, lease: &Lease, seen: Seen) -> Instance {
        let Seen { history, in_recovery, lsn, database } = seen;
        let database = Some(database).filter(|_| !is_elsewhere(lease));
        self.note(lease.server_started(), |started, seen| Instance {
            started,
            history,
            in_recovery,
            lsn,
            database,
            seen,
        })
    }
}
