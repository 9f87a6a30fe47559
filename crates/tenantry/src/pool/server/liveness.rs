//! Decides which connections can still be used, and which have to be pinged first.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    super::{scheduler::Time, session::Session, standby::Standby},
    Server,
};

/// The shortest and the longest time that the place of a closed connection stays occupied.
const LINGER: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(100)];

/// Observations about the server and the network. Times are in nanoseconds since the pool was
/// created.
#[derive(Debug)]
pub(super) struct Liveness {
    /// Sessions last seen before this time are pinged before they are handed out.
    suspect_before: AtomicU64,
    /// Round-trip time to the server.
    round_trip: AtomicU64,
    /// The slowest first answer of new connections, which fades with each.
    slowest_answer: AtomicU64,
    /// Connections to a server in recovery that were opened before this time are no longer used.
    standby_before: AtomicU64,
    standby: Mutex<Standby>,
    /// `server_version_num` of the last connection that was opened; zero before.
    version: AtomicU32,
}

impl Liveness {
    pub(super) fn new() -> Self {
        Self {
            suspect_before: AtomicU64::new(0),
            round_trip: AtomicU64::new(0),
            slowest_answer: AtomicU64::new(0),
            standby_before: AtomicU64::new(0),
            standby: Mutex::new(Standby::new()),
            version: AtomicU32::new(0),
        }
    }
}

impl Server {
    /// Returns `true` if the connection may be used: no connection was found misrouted since it was
    /// opened, and its server is not a standby that should be replaced by a primary.
    pub(in crate::pool) fn is_current(&self, session: &Session) -> bool {
        let before = Duration::from_nanos(self.liveness.standby_before.load(Ordering::Relaxed));
        let identity = &session.identity;
        identity.is_current()
            && !identity.is_on_standby_since_before(before)
            && !self.has_superseded(identity.opened(), before)
    }

    /// Returns `true` if a connection that was opened then may lead to a former primary.
    fn has_superseded(&self, opened: Time, doubted_before: Time) -> bool {
        self.has_lineage() && opened < doubted_before || self.is_former(opened)
    }

    /// Returns `true` if a connection that was opened then is older than the present primary.
    pub(in crate::pool) fn is_former(&self, opened: Time) -> bool {
        let lineage = self.connector.lineage.as_ref();
        lineage.is_some_and(|lineage| lineage.has_superseded((self.began + opened).into_std()))
    }

    /// Returns `true` if it knows which servers may take its writes.
    pub(in crate::pool) fn has_lineage(&self) -> bool {
        self.connector.lineage.is_some()
    }

    /// Records that a server in recovery has, or may have, refused a write: another connection may
    /// lead to the primary.
    pub(in crate::pool) fn leave_standby(&self) {
        if self.connector.target.wants_standby() || self.is_replica() {
            return;
        }
        if let Some(before) = self.liveness.standby.lock().refused(self.now()) {
            self.liveness.standby_before.fetch_max(nanos(before), Ordering::Relaxed);
            if let Some(lineage) = &self.connector.lineage {
                lineage.doubt();
            }
        }
    }

    /// Records the version of server to which a connection was opened, and its kind and how soon it has answered,
    /// if that is known.
    pub(in crate::pool) fn note_opened(&self, session: &Session) {
        if let Some(version) = session.server_version() {
            self.liveness.version.store(version, Ordering::Relaxed);
        }
        if let Some(round_trip) = session.round_trip {
            self.note_round_trip(round_trip);
        }
        let is_found = match &self.connector.lineage {
            Some(lineage) => lineage.take_news(),
            None => {
                !session.is_unasked()
                    && !session.identity.is_on_standby()
                    && self.liveness.standby_before.load(Ordering::Relaxed) > 0
            }
        };
        if is_found {
            self.liveness.standby.lock().found_primary();
        }
    }

    /// Returns the `server_version_num` of the server, such as 170002, once a connection was opened.
    pub(crate) fn version(&self) -> Option<u32> {
        Some(self.liveness.version.load(Ordering::Relaxed)).filter(|version| *version > 0)
    }

    /// Records that a connection broke: all that are idle now are pinged before their next use.
    pub(in crate::pool) fn suspect_all(&self) {
        self.liveness.suspect_before.store(nanos(self.now()), Ordering::Relaxed);
    }

    /// Returns `true` if the session must be pinged before use.
    pub(in crate::pool) fn is_in_doubt(&self, session: &Session, now: Instant) -> bool {
        let idle = now.duration_since(self.began).saturating_sub(session.seen);
        idle >= self.options.liveness_check_after || self.is_suspect(session)
    }

    /// Returns `true` if a connection broke after this session was last seen alive.
    pub(in crate::pool) fn is_suspect(&self, session: &Session) -> bool {
        nanos(session.seen) < self.liveness.suspect_before.load(Ordering::Relaxed)
    }

    /// Returns how long the place of a connection stays occupied that is closed now. The server needs a moment to
    /// end the process behind it; an immediate connect would exceed the budget from the server's point of
    /// view. The process ends about as soon as a new one answers a first message, however busy the server is.
    pub(in crate::pool) fn linger(&self, session: &Session) -> Duration {
        let [least, most] = LINGER;
        let slowest = Duration::from_nanos(self.liveness.slowest_answer.load(Ordering::Relaxed));
        (slowest * 2).min(session.opened_in).clamp(least, most)
    }

    /// Records the round-trip time of a message to the server.
    fn note_round_trip(&self, took: Duration) {
        // A moment of load changes the estimate little; a new network path replaces it.
        let known = self.round_trip();
        let now = if known.is_zero() { took } else { (known * 3 + took) / 4 };
        self.liveness.round_trip.store(nanos(now), Ordering::Relaxed);
        // Load that has just begun counts at once.
        let slowest = &self.liveness.slowest_answer;
        let fading = slowest.load(Ordering::Relaxed) / 8 * 7;
        slowest.store(nanos(took).max(fading), Ordering::Relaxed);
    }

    pub(in crate::pool) fn round_trip(&self) -> Duration {
        Duration::from_nanos(self.liveness.round_trip.load(Ordering::Relaxed))
    }
}

fn nanos(time: Time) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
