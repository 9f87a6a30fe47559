use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::event::CatalogOutage;

/// A time in which the catalog does not answer.
#[derive(Default)]
pub(super) struct Outage {
    /// What the lock says, too, to be read without it.
    on: AtomicBool,
    current: Mutex<Option<Current>>,
}

struct Current {
    began: Instant,
    error: Option<Arc<str>>,
    told: bool,
}

/// An outage that is shorter is nothing to tell of: every other second could have one where one tenant
/// cannot be looked up and others can.
const WORTH_TELLING: Duration = Duration::from_secs(1);

impl Outage {
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Notes that the catalog did not answer, or with this error.
    pub(super) fn note(&self, error: Option<Arc<str>>) {
        let mut current = self.current.lock();
        match &mut *current {
            Some(outage) => outage.error = error.or_else(|| outage.error.take()),
            None => *current = Some(Current { began: Instant::now(), error, told: false }),
        }
        self.on.store(true, Ordering::Relaxed);
    }

    /// Notes that what was known was served instead. Returns what is to be told, once in an outage.
    pub(super) fn served_stale(&self) -> Option<CatalogOutage> {
        let mut current = self.current.lock();
        let outage = current.as_mut().filter(|outage| !outage.told)?;
        let duration = outage.began.elapsed();
        outage.told = duration >= WORTH_TELLING;
        let error = outage.error.clone();
        outage.told.then_some(CatalogOutage { ended: false, duration, error })
    }

    /// Notes that the catalog has answered. Returns what is to be told.
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
