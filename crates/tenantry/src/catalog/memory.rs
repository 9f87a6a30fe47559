//! Cache of the catalog's answers, and their validity.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::sync::Cache;

use super::{CatalogOptions, desk::Rank, rules::Known};
use crate::{pool::LiveLimits, tenant::TenantId};

/// The catalog's answer for an id.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    Known(Arc<Known>),
    Unknown,
    /// With an occupant that is refused every connection.
    Suspended(Arc<Known>),
}

/// The cached state of an id.
pub(super) enum Found {
    /// It is valid.
    Fresh(Verdict),
    /// It must be renewed, and is usable while the catalog does not answer.
    Stale(Arc<Known>),
    /// The catalog must be queried.
    Nothing(Rank),
}

/// Caches tenants and, separately, refused ids: clients can invent those, and they must not evict
/// known tenants.
pub(super) struct Memory {
    began: Instant,
    ttl: Duration,
    stale: Duration,
    negative_ttl: Duration,
    tenants: Cache<TenantId, Remembered>,
    refused: Cache<TenantId, Refused>,
    /// Entries requested before this time must be requested again; in nanoseconds.
    doubted: AtomicU64,
}

#[derive(Clone)]
struct Remembered {
    /// `None` after a change: only that the tenant exists, or existed, is known.
    known: Option<Arc<Known>>,
    /// Its limits, which outlast a change.
    limits: Arc<LiveLimits>,
    heard: Heard,
}

#[derive(Clone)]
struct Refused {
    verdict: Verdict,
    heard: Heard,
}

/// When the catalog was queried, and when it answered; in nanoseconds, to save memory.
#[derive(Debug, Clone, Copy)]
struct Heard {
    asked: u64,
    answered: u64,
}

/// The longest time for which anything is cached.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

impl Memory {
    pub(super) fn new(options: &CatalogOptions) -> Self {
        let CatalogOptions { capacity, ttl, stale_if_error, negative_ttl, .. } = *options;
        // The existence of a tenant is worth knowing even if it is not served.
        let kept = ttl.saturating_add(stale_if_error.max(ttl)).min(LONGEST);
        Self {
            began: Instant::now(),
            ttl,
            stale: stale_if_error,
            negative_ttl,
            tenants: Cache::builder().max_capacity(capacity).time_to_live(kept).build(),
            refused: Cache::builder()
                .max_capacity(capacity)
                .time_to_live(negative_ttl.min(LONGEST))
                .build(),
            doubted: AtomicU64::new(0),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns a time as the pool tells it.
    pub(super) fn instant(&self, time: Duration) -> tokio::time::Instant {
        (self.began + time).into()
    }

    pub(super) fn find(&self, id: &TenantId) -> Found {
        if let Some(Remembered { known, heard, .. }) = self.tenants.get(id) {
            let Some(known) = known.filter(|known| !known.occupant.is_retired()) else {
                return Found::Nothing(Rank::Known);
            };
            return match self.overdue(heard, self.ttl) {
                None => Found::Fresh(Verdict::Known(known)),
                Some(overdue) if overdue < self.stale => Found::Stale(known),
                Some(_) => Found::Nothing(Rank::Known),
            };
        }
        match self.refused.get(id) {
            Some(refused) if self.overdue(refused.heard, self.negative_ttl).is_none() => {
                Found::Fresh(refused.verdict)
            }
            _ => Found::Nothing(Rank::New),
        }
    }

    /// Returns `true` if a tenant that was known has changed, and was not asked for since.
    pub(super) fn has_changed(&self, id: &TenantId) -> bool {
        self.tenants.get(id).is_some_and(|remembered| {
            remembered.known.is_none_or(|known| known.occupant.is_retired())
        })
    }

    /// Returns since when an entry has been invalid.
    fn overdue(&self, heard: Heard, ttl: Duration) -> Option<Duration> {
        let doubted = Duration::from_nanos(self.doubted.load(Ordering::Relaxed));
        let end = Duration::from_nanos(heard.answered).saturating_add(ttl);
        let asked = Duration::from_nanos(heard.asked);
        let end = if asked <= doubted { end.min(doubted) } else { end };
        self.now().checked_sub(end)
    }

    /// Returns the cached tenant, valid or not.
    pub(super) fn known(&self, id: &str) -> Option<Arc<Known>> {
        self.tenants.get(id)?.known
    }

    /// Returns the limits of a tenant, which its handles and its tenant pool share with the cached
    /// entry; new ones if there is none.
    pub(super) fn limits(&self, id: &TenantId) -> Arc<LiveLimits> {
        if let Some(remembered) = self.tenants.get(id) {
            return remembered.limits;
        }
        match self.refused.get(id).map(|refused| refused.verdict) {
            Some(Verdict::Suspended(known)) => Arc::clone(&known.occupant.limits),
            _ => Arc::default(),
        }
    }

    /// Caches the catalog's answer to a query of this time.
    pub(super) fn note(&self, id: &TenantId, verdict: &Verdict, asked: Duration) {
        let heard = Heard { asked: nanos(asked), answered: nanos(self.now()) };
        match verdict {
            Verdict::Known(known) => {
                let limits = Arc::clone(&known.occupant.limits);
                let known = Some(Arc::clone(known));
                self.tenants.insert(id.clone(), Remembered { known, limits, heard });
                self.refused.invalidate(id);
            }
            Verdict::Unknown | Verdict::Suspended(_) => {
                self.tenants.invalidate(id);
                self.refused.insert(id.clone(), Refused { verdict: verdict.clone(), heard });
            }
        }
    }

    /// Forgets everything about an id except that it is a tenant's.
    pub(super) fn forget(&self, id: &str) {
        self.refused.invalidate(id);
        if let Some(known) = self.known(id) {
            let now = nanos(self.now());
            let heard = Heard { asked: now, answered: now };
            let limits = Arc::clone(&known.occupant.limits);
            let changed = Remembered { known: None, limits, heard };
            self.tenants.insert(known.tenant.id().clone(), changed);
        }
    }

    pub(super) fn forget_all(&self) {
        self.tenants.invalidate_all();
        self.refused.invalidate_all();
    }

    /// Marks everything for renewal: changes may have been missed.
    pub(super) fn doubt_all(&self) {
        self.doubted.fetch_max(nanos(self.now()), Ordering::Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
