//! A budget that this pool shares with other processes: what the task that asks for it, the
//! metrics and the listener need to know.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::options::PoolOptions;
use crate::error::OptionsError;

/// Returns how many connections of a budget are never granted: a process without a grant uses one
/// for a moment, to ask.
pub(crate) fn door(budget: usize) -> usize {
    1 + budget / 50
}

/// The shared budget of a pool.
#[derive(Debug)]
pub(crate) struct Share {
    /// The name of the budget.
    pub(crate) name: Arc<str>,
    /// The connections without which this process cannot serve.
    pub(crate) floor: usize,
    /// Number of processes for which floors are set aside.
    pub(crate) processes: usize,
    /// The budget of all processes.
    total: AtomicUsize,
    wanted: AtomicUsize,
    /// How long the last answered beat took, in nanoseconds; zero before the first.
    took: AtomicU64,
    /// Notified when a request waits.
    pub(crate) wake: Notify,
    admitted: watch::Sender<bool>,
    /// Why the last beat failed.
    error: Mutex<Option<Arc<str>>>,
}

impl Share {
    pub(crate) fn new(name: Arc<str>, floor: usize, processes: usize, total: usize) -> Self {
        Self {
            name,
            floor,
            processes,
            total: AtomicUsize::new(total),
            wanted: AtomicUsize::new(floor),
            took: AtomicU64::new(0),
            wake: Notify::new(),
            admitted: watch::Sender::new(false),
            error: Mutex::default(),
        }
    }

    /// Checks that a budget has room for the floors that are set aside.
    pub(crate) fn check(&self, total: usize) -> Result<(), OptionsError> {
        let least = self.floor * self.processes + door(total);
        if total >= least {
            return Ok(());
        }
        let Self { floor, processes, .. } = self;
        let must = format!(
            "be at least {least} for {processes} processes with a floor of {floor} each, and one \
             connection to ask on, and is {total}"
        );
        Err(OptionsError::new("max_connections", must))
    }

    /// Returns the options of a pool whose connections are not in the table of the budget: it has an even part of the
    /// total, which is no less than the floor.
    pub(crate) fn part(&self, mut pool: PoolOptions) -> PoolOptions {
        let part = pool.max_connections / self.processes;
        pool.max_connections = part;
        pool.min_idle = pool.min_idle.min(part);
        pool.max_connections_per_tenant = pool.max_connections_per_tenant.map(|cap| cap.min(part));
        pool
    }

    pub(crate) fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    pub(crate) fn set_total(&self, total: usize) {
        self.total.store(total, Ordering::Relaxed);
    }

    pub(crate) fn wanted(&self) -> usize {
        self.wanted.load(Ordering::Relaxed)
    }

    pub(crate) fn note_wanted(&self, wanted: usize) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Records how long an answered beat took.
    pub(crate) fn note_beat(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.took.store(nanos, Ordering::Relaxed);
    }

    /// Returns how long the last answered beat took.
    pub(super) fn beat(&self) -> Option<Duration> {
        let nanos = self.took.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    /// Records why the last beat failed, or that it has not.
    pub(crate) fn note_error(&self, error: Option<Arc<str>>) {
        *self.error.lock() = error;
    }

    pub(crate) fn error(&self) -> Option<Arc<str>> {
        self.error.lock().clone()
    }

    /// Records whether the pool has more than the connection to ask on.
    pub(super) fn admit(&self, admitted: bool) {
        self.admitted.send_if_modified(|before| std::mem::replace(before, admitted) != admitted);
    }

    pub(super) fn is_admitted(&self) -> bool {
        *self.admitted.borrow()
    }
}

/// Lets a connection outside of the pool wait for its place in a shared budget.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admission(Option<watch::Receiver<bool>>);

impl Admission {
    pub(super) fn of(share: &OnceLock<Arc<Share>>) -> Self {
        Self(share.get().map(|share| share.admitted.subscribe()))
    }

    /// Waits until the pool has more than the connection to ask on. Without a shared budget it
    /// always has.
    pub(crate) async fn granted(&self) {
        if let Some(mut admitted) = self.0.clone()
            && admitted.wait_for(|admitted| *admitted).await.is_err()
        {
            // The pool is gone, and its shutdown ends the caller.
            std::future::pending::<()>().await;
        }
    }
}
