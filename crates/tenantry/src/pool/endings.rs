//! The processes of closed connections that have not ended yet, as far as is known.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backend::Backend;

/// After so many processes in a row that have not ended, they are not ours: a connection pooler keeps them for
/// other clients.
const IN_VAIN: u32 = 8;

/// How long the server is not asked after that.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// The closed connections whose processes have not ended yet, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Endings {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    awaited: Vec<Arc<Awaited>>,
    /// `true` while a task asks the server.
    watched: bool,
    in_vain: u32,
    not_before: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) backend: Backend,
    pub(super) closed: Instant,
    pub(super) ended: CancellationToken,
    /// `true` if the server has said that the process is still there.
    pub(super) seen: AtomicBool,
}

impl Endings {
    /// Adds a process. Returns `true` if nothing watches them yet. `None` if the server is not to be
    /// asked.
    pub(super) fn add(&self, backend: Backend) -> Option<(Arc<Awaited>, bool)> {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        if inner.not_before.is_some_and(|then| now < then) {
            return None;
        }
        let awaited = Arc::new(Awaited {
            backend,
            closed: now,
            ended: CancellationToken::new(),
            seen: AtomicBool::new(false),
        });
        inner.awaited.push(Arc::clone(&awaited));
        Some((awaited, !std::mem::replace(&mut inner.watched, true)))
    }

    pub(super) fn remove(&self, awaited: &Arc<Awaited>) {
        let mut inner = self.inner.lock();
        inner.awaited.retain(|other| !Arc::ptr_eq(other, awaited));
        if awaited.ended.is_cancelled() {
            inner.in_vain = 0;
        } else if awaited.seen.load(Ordering::Relaxed) {
            inner.in_vain += 1;
            if inner.in_vain >= IN_VAIN {
                (inner.in_vain, inner.not_before) = (0, Some(Instant::now() + ASK_AGAIN));
            }
        }
    }

    /// Returns the processes to ask for; none if the watch is over.
    pub(super) fn to_ask_for(&self) -> Vec<Arc<Awaited>> {
        let mut inner = self.inner.lock();
        inner.watched = !inner.awaited.is_empty();
        inner.awaited.clone()
    }
}
