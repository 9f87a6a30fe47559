//! Tracks open connections, so that they can be cut.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

/// All connections of one server.
#[derive(Debug, Default)]
pub(super) struct Connections {
    cut: AtomicBool,
    open: Mutex<Open>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by: HashMap<u64, Arc<Wakers>>,
}

/// The wakers of a connection: of its reader, its writer, and the handler of its request.
#[derive(Debug, Default)]
struct Wakers {
    read: AtomicWaker,
    write: AtomicWaker,
    work: AtomicWaker,
}

/// Wakes the handler of a request when its connection is cut.
///
/// It only knows the handler that polled last. HTTP/1 has one request at a time; an HTTP/2
/// connection ends all of its own handlers.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    all: Arc<Connections>,
    wakers: Arc<Wakers>,
}

/// The half of a connection that is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Half {
    Read,
    Write,
}

/// The registration of one open connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    all: Arc<Connections>,
    number: u64,
    wakers: Arc<Wakers>,
}

impl Connections {
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        let wakers = Arc::new(Wakers::default());
        let mut open = self.open();
        let number = open.next;
        open.next += 1;
        open.by.insert(number, Arc::clone(&wakers));
        drop(open);
        Place { all: Arc::clone(self), number, wakers }
    }

    /// Makes all pending and future reads and writes fail. Returns the number of open connections.
    pub(super) fn cut(&self) -> usize {
        self.cut.store(true, Ordering::SeqCst);
        let open = self.open();
        for wakers in open.by.values() {
            wakers.read.wake();
            wakers.write.wake();
            wakers.work.wake();
        }
        open.by.len()
    }

    /// Waits until no connection is open.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.open().by.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Nothing panics while holding it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Returns `true` if the connection is cut; otherwise the task is woken once it is.
    pub(super) fn is_cut(&self, waker: &Waker) -> bool {
        self.wakers.work.register(waker);
        self.all.cut.load(Ordering::SeqCst)
    }
}

impl Place {
    pub(super) fn watch(&self) -> Watch {
        Watch { all: Arc::clone(&self.all), wakers: Arc::clone(&self.wakers) }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.all.cut.load(Ordering::SeqCst)
    }

    /// Wakes the task when the connection is cut; ready if it already is.
    pub(super) fn wait(&self, half: Half, waker: &Waker) -> Poll<()> {
        match half {
            Half::Read => self.wakers.read.register(waker),
            Half::Write => self.wakers.write.register(waker),
        }
        if self.is_cut() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.all.open();
        open.by.remove(&self.number);
        let is_last = open.by.is_empty();
        drop(open);
        if is_last {
            self.all.emptied.notify_waiters();
        }
    }
}
