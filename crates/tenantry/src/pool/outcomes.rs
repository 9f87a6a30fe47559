use std::sync::atomic::{AtomicU64, Ordering};

use super::{scheduler::How, snapshot::Acquires};
use crate::error::ErrorKind;

/// Counts how acquires have ended. Each is counted once, however many dead connections it was
/// granted.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    hit: AtomicU64,
    rebind: AtomicU64,
    open: AtomicU64,
    timeout: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Outcomes {
    /// Counts an acquire that got a connection.
    pub(super) fn given(&self, how: How) {
        add_one(match how {
            How::Hit => &self.hit,
            How::Rebind => &self.rebind,
            How::Bind => &self.open,
        });
    }

    /// Counts an acquire that got none.
    pub(super) fn not_given(&self, why: ErrorKind) {
        add_one(match why {
            ErrorKind::Timeout => &self.timeout,
            ErrorKind::Overloaded | ErrorKind::Unavailable | ErrorKind::TransactionPooler => {
                &self.refused
            }
            _ => &self.failed,
        });
    }

    pub(super) fn read(&self) -> Acquires {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Acquires {
            hit: read(&self.hit),
            rebind: read(&self.rebind),
            open: read(&self.open),
            timeout: read(&self.timeout),
            refused: read(&self.refused),
            failed: read(&self.failed),
        }
    }
}

fn add_one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
