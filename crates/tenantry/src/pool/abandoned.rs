//! Transactions that are dropped without `commit` after they changed something.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tracing::Level;

use crate::tenant::TenantId;

/// Warns about transactions that were dropped without `commit` although their work reported
/// success.
///
/// A forgotten `commit` rolls everything back and looks like success: the handler answers 200, and
/// the data is not there. [`TenantDb::watch_transactions`](crate::TenantDb::watch_transactions)
/// returns a handle and a watch. Give the handle to the work, and call
/// [`succeeded`](Self::succeeded) when it has reported success. Each transaction of that handle
/// that was dropped after a change is then logged as a warning, with its tenant. The adapters for
/// web frameworks do this for every request.
///
/// Work that fails drops its transactions through `?`, so it logs nothing above the level `DEBUG`.
#[must_use = "nothing is reported until the work is known to have succeeded"]
pub struct TransactionWatch(Arc<Watched>);

/// State shared by a watch and the transactions of its handle.
#[derive(Debug, Default)]
pub(crate) struct Watched(Mutex<Progress>);

#[derive(Debug, Default)]
struct Progress {
    succeeded: bool,
    /// Name of the successful work, for the log.
    what: Option<Arc<str>>,
    /// Abandoned transactions of work whose result is not known yet.
    abandoned: Vec<Abandoned>,
}

/// A transaction that was rolled back because it was dropped, and had changed something.
#[derive(Debug)]
pub(super) struct Abandoned {
    pub(super) tenant: Option<TenantId>,
    pub(super) backend_pid: Option<i32>,
}

/// Whether a lease is in an unfinished transaction, and the watch that is notified about it.
#[derive(Debug, Default)]
pub(super) enum OpenTransaction {
    #[default]
    None,
    Unwatched,
    Watched(Arc<Watched>),
}

impl TransactionWatch {
    pub(crate) fn new() -> (Self, Arc<Watched>) {
        let watched = Arc::<Watched>::default();
        (Self(Arc::clone(&watched)), watched)
    }

    /// Records that the work has reported success, for example to its client: its changes should
    /// persist.
    ///
    /// Logs a warning for each transaction already dropped without `commit`, and makes the pool log
    /// one for each that is dropped later.
    pub fn succeeded(&self) {
        self.report(None);
    }

    /// Records success like [`succeeded`](Self::succeeded), and names the work, such as
    /// `POST /users`, in the field `request` of the warnings. The closure is called only if there
    /// may be something to report.
    pub fn succeeded_as(&self, what: impl FnOnce() -> String) {
        // Without a handle and an open transaction, nothing can be dropped any more.
        let may_go_on = Arc::strong_count(&self.0) > 1;
        let has_dropped = !self.0.0.lock().abandoned.is_empty();
        self.report((may_go_on || has_dropped).then(|| what().into()));
    }

    fn report(&self, what: Option<Arc<str>>) {
        let abandoned = {
            let mut progress = self.0.0.lock();
            progress.succeeded = true;
            progress.what.clone_from(&what);
            std::mem::take(&mut progress.abandoned)
        };
        abandoned.iter().for_each(|abandoned| abandoned.warn(what.as_deref()));
    }
}

impl Watched {
    /// Logs the transaction if the work has succeeded, or once it does.
    fn note(&self, abandoned: Abandoned) {
        let mut progress = self.0.lock();
        if !progress.succeeded {
            return progress.abandoned.push(abandoned);
        }
        let what = progress.what.clone();
        drop(progress);
        abandoned.warn(what.as_deref());
    }
}

impl Abandoned {
    fn warn(&self, what: Option<&str>) {
        tracing::warn!(
            target: "tenantry::pool",
            tenant = self.tenant.as_ref().map(TenantId::as_str),
            request = what,
            backend_pid = self.backend_pid,
            "a transaction was dropped without commit, and its changes were rolled back, but the request \
             reported success: call `commit` before the response"
        );
    }
}

impl OpenTransaction {
    pub(super) fn new(watched: Option<Arc<Watched>>) -> Self {
        watched.map_or(Self::Unwatched, Self::Watched)
    }

    /// Returns `true` if a watch needs to know whether the transaction had changed anything.
    pub(super) fn is_of_interest(&self) -> bool {
        match self {
            Self::None => false,
            Self::Unwatched => tracing::enabled!(target: "tenantry::pool", Level::DEBUG),
            Self::Watched(_) => true,
        }
    }

    /// Records that the transaction had changed something and was rolled back.
    pub(super) fn was_abandoned(self, abandoned: Abandoned) {
        tracing::debug!(
            target: "tenantry::pool",
            tenant = abandoned.tenant.as_ref().map(TenantId::as_str),
            backend_pid = abandoned.backend_pid,
            "a transaction was dropped without commit, and its changes were rolled back"
        );
        if let Self::Watched(watched) = self {
            watched.note(abandoned);
        }
    }
}

impl fmt::Debug for TransactionWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let succeeded = self.0.0.lock().succeeded;
        f.debug_struct("TransactionWatch").field("succeeded", &succeeded).finish_non_exhaustive()
    }
}
