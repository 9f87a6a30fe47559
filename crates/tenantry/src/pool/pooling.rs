//! Detection of a pooler in transaction mode between the pool and the server.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;

use super::{backend::Backend, scheduler::Time, session_error::lost};
use crate::error::{Error, ErrorKind};

/// The kind of connection between a manager and its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pooling {
    /// Not known: no connection has been opened yet, or there was no second one to compare it with,
    /// such as with a budget of one connection.
    #[default]
    Unknown,
    /// A connection keeps its session: a direct connection, or a pooler in session mode.
    Session,
    /// A pooler in transaction or statement mode: any tenant's session may answer any other tenant.
    /// Nothing is served until the process is restarted.
    Transaction,
}

impl Pooling {
    /// Returns the verdict in snake case, as used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Session => "session",
            Self::Transaction => "transaction",
        }
    }
}

/// Error message behind a pooler in transaction mode, with the remedy.
pub(crate) const TRANSACTION_POOLER: &str = "a connection pooler in transaction mode mixes up the \
    sessions of tenants; connect to PostgreSQL itself or to a pooler in session mode, and restart";

/// Consequence of the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Nothing is served behind a pooler in transaction mode.
    Refuses,
    /// The verdict is recorded and everything is served. Only for scratch schemas of the isolation
    /// proof.
    Notes,
    /// A pooler in transaction mode is expected, and connections are bound for one transaction at a
    /// time. Nothing is compared.
    Expects,
}

/// The backends behind the connections of a server, and the verdict.
#[derive(Debug)]
pub(super) struct Separation {
    guard: Guard,
    /// `true` if the budget has room for the second connection of a probe.
    has_room: AtomicBool,
    /// `true` if acquires must stop: after a verdict, or during an investigation.
    stopped: AtomicBool,
    /// `true` if the next two connections are compared.
    probe_due: AtomicBool,
    /// Number of times that connections were found to be misrouted.
    generation: AtomicU64,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    verdict: Pooling,
    /// Number of connections under investigation, on which another backend has answered.
    inquiries: usize,
    /// The backends of live connections, by connection number.
    live: Vec<(u64, Backend)>,
    next: u64,
    /// Whether the server can detect disconnected clients, as a connection of this generation has found.
    checks_clients: Option<bool>,
}

impl Separation {
    /// `budget` is the number of connections that the pool can have.
    pub(super) fn new(budget: usize, guard: Guard) -> Arc<Self> {
        let has_room = budget > 1 && guard != Guard::Expects;
        Arc::new(Self {
            guard,
            has_room: AtomicBool::new(has_room),
            stopped: AtomicBool::new(false),
            probe_due: AtomicBool::new(has_room),
            generation: AtomicU64::new(0),
            inner: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub(super) fn verdict(&self) -> Pooling {
        self.inner.lock().verdict
    }

    /// Returns `true` if an acquire need not stop. One atomic load, because every acquire calls it.
    pub(super) fn is_undisputed(&self) -> bool {
        !self.stopped.load(Ordering::Acquire)
    }

    /// Waits during an investigation; fails once there is a verdict against the pooler.
    pub(super) async fn pass(&self) -> Result<(), Error> {
        while !self.is_undisputed() {
            let changed = self.changed.notified();
            if self.guard == Guard::Refuses && self.verdict() == Pooling::Transaction {
                return Err(transaction_pooler());
            }
            if self.inner.lock().inquiries > 0 {
                changed.await;
            }
        }
        Ok(())
    }

    /// Records the proof. Returns `true` if nothing is to be served from now on, and was until now.
    pub(super) fn condemn(&self) -> bool {
        let mut inner = self.inner.lock();
        let first = self.guard == Guard::Refuses && inner.verdict != Pooling::Transaction;
        inner.verdict = Pooling::Transaction;
        self.probe_due.store(false, Ordering::Release);
        self.settle(&inner);
        first
    }

    /// Returns `true` if new connections are to be compared.
    pub(super) fn is_probe_due(&self) -> bool {
        self.probe_due.load(Ordering::Acquire)
    }

    /// Makes the next connections be compared.
    pub(super) fn probe_again(&self) {
        let inner = self.inner.lock();
        let open = inner.verdict != Pooling::Transaction;
        self.probe_due.store(self.has_room() && open, Ordering::Release);
    }

    fn has_room(&self) -> bool {
        self.has_room.load(Ordering::Acquire)
    }

    /// Records, before the first connection, that there is room for one only at first.
    pub(super) fn note_no_room(&self) {
        self.has_room.store(false, Ordering::Release);
        self.probe_due.store(false, Ordering::Release);
    }

    /// Records that the budget has room for a second connection. If it had none before, the
    /// existing connection was never compared with another one: it is closed before its next use.
    pub(super) fn note_room(&self) {
        if self.guard == Guard::Expects {
            return;
        }
        if !self.has_room.swap(true, Ordering::AcqRel) {
            self.begin_generation();
        }
    }

    /// Records that a probe of connections opened in this generation has found nothing.
    pub(super) fn acquit(&self, generation: u64) {
        let mut inner = self.inner.lock();
        if inner.verdict != Pooling::Transaction && self.generation() == generation {
            inner.verdict = Pooling::Session;
            self.probe_due.store(false, Ordering::Release);
        }
    }

    /// Records that a probe is inconclusive: the server does not identify its processes.
    pub(super) fn give_up_probing(&self) {
        self.probe_due.store(false, Ordering::Release);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Returns whether the server can detect disconnected clients. `None` if a new connection has to ask it, and
    /// who it is: to be compared with others, or because none has asked.
    pub(super) fn checks_clients(&self) -> Option<bool> {
        self.inner.lock().checks_clients.filter(|_| !self.is_probe_due())
    }

    /// Makes the next connections ask the server again.
    pub(super) fn ask_again(&self) {
        self.inner.lock().checks_clients = None;
    }

    /// Marks every open connection for closing before its next use, and makes new ones be compared.
    fn begin_generation(&self) {
        let mut inner = self.inner.lock();
        if inner.verdict == Pooling::Transaction {
            return;
        }
        inner.verdict = Pooling::Unknown;
        inner.checks_clients = None;
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.probe_due.store(self.has_room(), Ordering::Release);
    }

    /// Lets acquires continue, or stops them, and wakes those that have stopped.
    fn settle(&self, inner: &Inner) {
        let stopped = self.guard == Guard::Refuses
            && (inner.verdict == Pooling::Transaction || inner.inquiries > 0);
        self.stopped.store(stopped, Ordering::Release);
        self.changed.notify_waiters();
    }
}

/// The backend of one connection. While it lives, its backend is known to serve this connection.
#[derive(Debug)]
pub(super) struct Identity {
    separation: Arc<Separation>,
    number: u64,
    generation: u64,
    /// When the connect began.
    opened: Time,
    /// The backend when it was first asked, if the server reports it.
    backend: Option<Backend>,
    /// The process id of every answer so far.
    pid: Option<i32>,
    /// `true` if the connection was handed out since the last comparison: its user may have
    /// replaced it.
    handed_out: bool,
    inquiry: Option<Inquiry>,
    /// When the connect began, if the server was in recovery then.
    standby_since: Option<Time>,
}

impl Identity {
    /// Begins the record of a connection that was opened in this generation, and whose connect began at this time.
    pub(super) fn new(separation: &Arc<Separation>, generation: u64, opened: Time) -> Self {
        let mut inner = separation.inner.lock();
        let number = inner.next;
        inner.next += 1;
        drop(inner);
        Self {
            separation: Arc::clone(separation),
            number,
            generation,
            opened,
            backend: None,
            pid: None,
            handed_out: false,
            inquiry: None,
            standby_since: None,
        }
    }

    /// Records the backend, and whether its server is in recovery.
    pub(super) fn note_backend(&mut self, backend: Backend, in_recovery: bool) {
        self.separation.inner.lock().live.push((self.number, backend));
        self.backend = Some(backend);
        self.pid = Some(backend.pid);
        self.standby_since = in_recovery.then_some(self.opened);
    }

    /// Records whether the server can detect disconnected clients.
    pub(super) fn note_checks_clients(&self, checks_clients: bool) {
        if self.is_current() {
            self.separation.inner.lock().checks_clients = Some(checks_clients);
        }
    }

    /// Makes the next connections ask the server again.
    pub(super) fn ask_again(&self) {
        self.separation.ask_again();
    }

    pub(super) fn backend(&self) -> Option<Backend> {
        self.backend
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns `true` if the connection may still be used.
    pub(super) fn is_current(&self) -> bool {
        self.generation == self.separation.generation()
    }

    /// Returns when its connect began.
    pub(super) fn opened(&self) -> Time {
        self.opened
    }

    /// Returns `true` if its server was in recovery when the connection was opened.
    pub(super) fn is_on_standby(&self) -> bool {
        self.standby_since.is_some()
    }

    /// Returns `true` if its server was in recovery when the connection was opened, before this
    /// time.
    pub(super) fn is_on_standby_since_before(&self, time: Time) -> bool {
        self.standby_since.is_some_and(|since| since < time)
    }

    /// Records that the connection is handed out, and can be exchanged until the next comparison.
    pub(super) fn hand_out(&mut self) {
        self.handed_out = true;
    }

    /// Compares the process that has just answered with the previous one.
    ///
    /// If they differ, the cause is known only if the user of the connection cannot have replaced
    /// it. Then an [inquiry](Self::take_inquiry) begins, which stops all acquires until it ends.
    pub(super) fn compare(&mut self, pid: i32) -> sqlx::Result<()> {
        let before = self.pid.replace(pid);
        if before.is_none_or(|before| before == pid) || self.separation.guard == Guard::Notes {
            self.handed_out = false;
            return Ok(());
        }
        self.pid = before;
        if self.handed_out {
            self.separation.begin_generation();
        } else if self.inquiry.is_none() && self.backend.is_some_and(|backend| backend.is_known()) {
            self.inquiry = Some(Inquiry::begin(&self.separation));
        }
        Err(lost("the connection of a lease was exchanged"))
    }

    /// Returns `true` if another backend has answered for a reason that is not known yet.
    pub(super) fn is_in_question(&self) -> bool {
        self.inquiry.is_some()
    }

    pub(super) fn take_inquiry(&mut self) -> Option<Inquiry> {
        self.inquiry.take()
    }

    /// Returns `true` if another live connection has this backend.
    pub(super) fn is_of_another(&self, backend: &Backend) -> bool {
        let inner = self.separation.inner.lock();
        inner.live.iter().any(|(number, of)| *number != self.number && of == backend)
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.separation.inner.lock().live.retain(|(number, _)| *number != self.number);
    }
}

/// An investigation: acquires wait until it is dropped.
#[derive(Debug)]
pub(super) struct Inquiry(Arc<Separation>);

impl Inquiry {
    fn begin(separation: &Arc<Separation>) -> Self {
        let mut inner = separation.inner.lock();
        inner.inquiries += 1;
        separation.settle(&inner);
        drop(inner);
        Self(Arc::clone(separation))
    }
}

impl Drop for Inquiry {
    fn drop(&mut self) {
        let mut inner = self.0.inner.lock();
        inner.inquiries -= 1;
        self.0.settle(&inner);
    }
}

/// The error of every acquire behind a pooler in transaction mode.
pub(super) fn transaction_pooler() -> Error {
    Error::new(ErrorKind::TransactionPooler, TRANSACTION_POOLER)
}

#[cfg(test)]
mod tests {
    use super::{super::backend::backend, *};

    fn identity(of: &Arc<Separation>, pid: i32) -> Identity {
        let mut identity = Identity::new(of, of.generation(), Time::ZERO);
        identity.note_backend(backend(pid, 10), false);
        identity
    }

    #[test]
    fn another_answer_stops_acquires_until_its_case_is_closed() {
        let separation = Separation::new(2, Guard::Refuses);
        let mut one = identity(&separation, 1);
        assert!(one.compare(1).is_ok() && separation.is_undisputed());
        assert!(one.compare(2).is_err() && one.is_in_question());
        assert!(!separation.is_undisputed() && one.is_current());
        drop(one);
        assert!(separation.is_undisputed());
        assert_eq!(separation.verdict(), Pooling::Unknown);
    }

    #[test]
    fn a_connection_that_was_handed_out_begins_a_generation() {
        let separation = Separation::new(2, Guard::Refuses);
        let (mut one, other) = (identity(&separation, 1), identity(&separation, 2));
        separation.acquit(0);
        assert!(!separation.is_probe_due());
        one.hand_out();
        assert!(one.compare(1).is_ok());
        assert!(one.compare(2).is_err() && one.is_in_question(), "it was compared since");
        drop(one);
        let mut one = identity(&separation, 1);
        one.hand_out();
        assert!(one.compare(2).is_err() && !one.is_in_question());
        assert!(separation.is_undisputed() && separation.is_probe_due());
        assert!(!one.is_current() && !other.is_current());
        assert_eq!(separation.verdict(), Pooling::Unknown);
        separation.acquit(0);
        assert_eq!(separation.verdict(), Pooling::Unknown, "of an earlier generation");
        separation.acquit(1);
        assert_eq!(separation.verdict(), Pooling::Session);
    }

    #[test]
    fn a_backend_belongs_to_its_connection_while_that_lives() {
        let separation = Separation::new(2, Guard::Refuses);
        let (one, other) = (identity(&separation, 1), identity(&separation, 2));
        assert!(one.is_of_another(&backend(2, 10)));
        assert!(!one.is_of_another(&backend(1, 10)) && !one.is_of_another(&backend(2, 20)));
        drop(other);
        assert!(!one.is_of_another(&backend(2, 10)));
    }

    #[test]
    fn nothing_takes_a_verdict_back() {
        let separation = Separation::new(2, Guard::Refuses);
        let mut one = identity(&separation, 1);
        assert!(separation.condemn() && !separation.condemn());
        separation.acquit(0);
        separation.probe_again();
        one.hand_out();
        assert!(one.compare(2).is_err());
        assert_eq!(separation.verdict(), Pooling::Transaction);
        assert!(!separation.is_undisputed() && !separation.is_probe_due());
        assert!(
            !Separation::new(1, Guard::Refuses).is_probe_due(),
            "there is no second connection"
        );
    }
}
