use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::event::CatalogOutage;

/// An outage of the catalog.
#[derive(Default)]
pub(super) struct Outage {
    /// Mirrors the locked state, to be read without the lock.
    on: AtomicBool,
    current: Mutex<Option<Current>>,
}

struct Current {
    began: Instant,
    error: Option<Arc<str>>,
    told: bool,
}

/// Shorter outages are not reported: one could occur every other second when one tenant cannot be
/// looked up and others can.
const WORTH_TELLING: Duration = Duration::from_secs(1);

impl Outage {
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Records that the catalog did not answer, or returned this error.
    pub(super) fn note(&self, error: Option<Arc<str>>) {
        let mut current = self.current.lock();
        match &mut *current {
            Some(outage) => outage.error = error.or_else(|| outage.error.take()),
            None => *current = Some(Current { began: Instant::now(), error, told: false }),
        }
        self.on.store(true, Ordering::Relaxed);
    }

    /// Records that a cached entry was served instead. Returns the event to be emitted, once per
    /// outage.
    pub(super) fn served_stale(&self) -> Option<CatalogOutage> {
        let mut current = self.current.lock();
        let outage = current.as_mut().filter(|outage| !outage.told)?;
        let duration = outage.began.elapsed();
        outage.told = duration >= WORTH_TELLING;
        let error = outage.error.clone();
        outage.told.then_some(CatalogOutage { ended: false, duration, error })
    }

    /// Records that the catalog has answered. Returns the event to be emitted.
    pub(super) fn end(&self) -> Option<CatalogOutage> {
        if !self.is_on() {
            return None;
        }
        self.on.store(false, Ordering::Relaxed);
        let outage = self.current.lock().take().filter(|outage| outage.told)?;
        let duration = outage.began.elapsed();
        Some(CatalogOutage { ended: true, duration, error: outage.error })
    }
}
