//! From the first use of a pool to its end, and the tasks in between.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join, join_all},
};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Notify, task::JoinHandle, time::timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{super::deadline::after, Server};

/// The phases of a pool.
pub(super) struct Lifecycle {
    /// The runtime of the connections. A socket belongs to the runtime that opened it, so all of
    /// them are opened on one, whichever runtime asks: the end of another runtime closes no
    /// connection.
    runtime: OnceLock<Handle>,
    /// `true` once the housekeeping has started.
    housekeeping: AtomicBool,
    tasks: TaskTracker,
    /// Those of the tasks that need connections in order to end.
    works: TaskTracker,
    /// Tasks that begin with the first use.
    workers: Mutex<Vec<BoxFuture<'static, ()>>>,
    /// Cancelled when closing begins, even if it was only announced.
    closing: CancellationToken,
    /// Mirrors the scheduler's state, to be read without the lock.
    closed: AtomicBool,
    /// Notified when the last connection of a closed pool is gone.
    pub(super) emptied: Notify,
    /// Cancelled to stop the tasks.
    shutdown: CancellationToken,
    /// Cancelled when the first close has finished.
    done: CancellationToken,
}

impl Lifecycle {
    /// Begins on the current runtime, if there is one.
    pub(super) fn new(shutdown: CancellationToken) -> Self {
        Self {
            runtime: Handle::try_current().map_or_else(|_| OnceLock::new(), OnceLock::from),
            housekeeping: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            works: TaskTracker::new(),
            workers: Mutex::default(),
            closing: CancellationToken::new(),
            closed: AtomicBool::new(false),
            emptied: Notify::new(),
            shutdown,
            done: CancellationToken::new(),
        }
    }
}

impl Server {
    /// Refuses new acquires, waits for leases until the deadline, and stops every task.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the pool stays closed; call again to keep waiting.
    pub(crate) async fn close(self: &Arc<Self>, patience: Duration) {
        let others = join_all(self.others().map(|other| other.close_alone(patience)));
        join(others, self.close_alone(patience)).await;
    }

    async fn close_alone(self: &Arc<Self>, patience: Duration) {
        let deadline = after(patience);
        self.life.closing.cancel();
        self.life.closed.store(true, Ordering::Relaxed);
        self.change(|state, now| state.scheduler.close(now));
        if timeout_at(deadline, self.empty()).await.is_err() {
            let leased = self.state.lock().scheduler.counts().leased;
            tracing::warn!(leased, "closed the pool while connections were still leased");
        }
        self.life.shutdown.cancel();
        self.life.tasks.close();
        let last = deadline.max(after(self.options.cleanup_timeout));
        if timeout_at(last, self.life.tasks.wait()).await.is_err() {
            let tasks = self.life.tasks.len();
            tracing::warn!(tasks, "background tasks of the pool did not stop in time");
        }
        self.life.done.cancel();
    }

    /// Waits at most this long for works that end because closing has begun.
    pub(crate) async fn finish_works(&self, patience: Duration) {
        self.life.works.close();
        if timeout_at(after(patience), self.life.works.wait()).await.is_err() {
            let works = self.life.works.len();
            tracing::warn!(works, "closed the pool before moves have ended: take them over");
        }
    }

    /// Runs a task, as [`spawn`](Self::spawn) does, for which connections are kept open while it ends.
    pub(crate) fn spawn_work<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        self.spawn(self.life.works.track_future(work))
    }

    /// Waits until every connection is gone.
    async fn empty(&self) {
        loop {
            let emptied = self.life.emptied.notified();
            if self.state.lock().scheduler.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Cancelled when closing begins; acquires may still be served then.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.life.closing
    }

    /// Cancelled when [`close`](Self::close) has finished.
    pub(crate) fn done(&self) -> &CancellationToken {
        &self.life.done
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.life.closed.load(Ordering::Relaxed)
    }

    /// Cancelled when the pool is shut down.
    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.life.shutdown
    }

    /// Records the runtime at the first use, and starts the housekeeping.
    pub(crate) fn start(self: &Arc<Self>) {
        if self.life.housekeeping.load(Ordering::Relaxed) {
            return;
        }
        if self.life.runtime.get().is_none()
            && let Ok(runtime) = Handle::try_current()
        {
            // Another thread may have set it first; then that runtime is used.
            drop(self.life.runtime.set(runtime));
        }
        if self.life.runtime.get().is_some()
            && !self.life.housekeeping.swap(true, Ordering::Relaxed)
        {
            self.keep_house();
            let own = std::mem::take(&mut *self.life.workers.lock());
            for worker in self.observer.take_workers().into_iter().chain(own) {
                self.spawn(worker);
            }
        }
    }

    /// Runs a task from the first use on, which [`close`](Self::close) waits for.
    pub(crate) fn on_start(&self, task: BoxFuture<'static, ()>) {
        self.life.workers.lock().push(task);
    }

    /// Runs a task that [`close`](Self::close) waits for. Without a runtime it is dropped.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        self.life.runtime.get().map(|runtime| self.life.tasks.spawn_on(task, runtime))
    }

    /// Returns `true` if no runtime that could own connections is left.
    pub(in crate::pool) fn is_homeless(&self) -> bool {
        let Some(runtime) = self.life.runtime.get() else { return true };
        // A runtime that has ended drops its tasks at once.
        runtime.spawn(async {}).now_or_never().is_some_and(|task| task.is_err())
    }

    /// Returns the runtime that owns the connections, once known.
    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.life.runtime.get()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Dropping a manager without closing it also stops its tasks.
        self.life.shutdown.cancel();
    }
}
