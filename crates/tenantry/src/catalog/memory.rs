//! What the catalog has said, and for how long that is good.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::sync::Cache;

use super::{CatalogOptions, desk::Rank, rules::Known};
use crate::tenant::TenantId;

/// What the catalog has said about an id.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    Known(Arc<Known>),
    Unknown,
    /// With an occupant that is refused every connection.
    Suspended(Arc<Known>),
}

/// What is remembered of an id.
pub(super) enum Found {
    /// It is good.
    Fresh(Verdict),
    /// It has to be renewed, and is good while the catalog does not answer.
    Stale(Arc<Known>),
    /// The catalog has to be asked.
    Nothing(Rank),
}

/// Remembers tenants, and apart from them the ids that are refused: clients make those up, and they must
/// not push out what is known.
pub(super) struct Memory {
    began: Instant,
    ttl: Duration,
    stale: Duration,
    negative_ttl: Duration,
    tenants: Cache<TenantId, Remembered>,
    refused: Cache<TenantId, Refused>,
    /// What was asked for until then has to be asked for again; in nanoseconds.
    doubted: AtomicU64,
}

#[derive(Clone)]
struct Remembered {
    /// Nothing when something of it was changed: that there is such a tenant, or was, and no more.
    known: Option<Arc<Known>>,
    heard: Heard,
}

#[derive(Clone)]
struct Refused {
    verdict: Verdict,
    heard: Heard,
}

/// When the catalog was asked, and when it answered; in nanoseconds, for there are many of them.
#[derive(Debug, Clone, Copy)]
struct Heard {
    asked: u64,
    answered: u64,
}

/// The longest time for which anything is remembered.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

impl Memory {
    pub(super) fn new(options: &CatalogOptions) -> Self {
        let CatalogOptions { capacity, ttl, stale_if_error, negative_ttl, .. } = *options;
        // That there is such a tenant is worth knowing even where it is not served.
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

    pub(super) fn find(&self, id: &TenantId) -> Found {
        if let Some(Remembered { known, heard }) = self.tenants.get(id) {
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

    /// Returns since when something is not good any more.
    fn overdue(&self, heard: Heard, ttl: Duration) -> Option<Duration> {
        let doubted = Duration::from_nanos(self.doubted.load(Ordering::Relaxed));
        let end = Duration::from_nanos(heard.answered).saturating_add(ttl);
        let asked = Duration::from_nanos(heard.asked);
        let end = if asked <= doubted { end.min(doubted) } else { end };
        self.now().checked_sub(end)
    }

    /// Returns the tenant that is remembered, good or not.
    pub(super) fn known(&self, id: &str) -> Option<Arc<Known>> {
        self.tenants.get(id)?.known
    }

    /// Remembers what the catalog has said when it was asked at this time.
    pub(super) fn note(&self, id: &TenantId, verdict: &Verdict, asked: Duration) {
        let heard = Heard { asked: nanos(asked), answered: nanos(self.now()) };
        match verdict {
            Verdict::Known(known) => {
                let known = Some(Arc::clone(known));
                self.tenants.insert(id.clone(), Remembered { known, heard });
                self.refused.invalidate(id);
            }
            Verdict::Unknown | Verdict::Suspended(_) => {
                self.tenants.invalidate(id);
                self.refused.insert(id.clone(), Refused { verdict: verdict.clone(), heard });
            }
        }
    }

    /// Forgets what is remembered of an id, but that it is a tenant's.
    pub(super) fn forget(&self, id: &str) {
        self.refused.invalidate(id);
        if let Some(known) = self.known(id) {
            let now = nanos(self.now());
            let heard = Heard { asked: now, answered: now };
            self.tenants.insert(known.tenant.id().clone(), Remembered { known: None, heard });
        }
    }

    pub(super) fn forget_all(&self) {
        self.tenants.invalidate_all();
        self.refused.invalidate_all();
    }

    /// Has everything asked for again: changes may have been missed.
    pub(super) fn doubt_all(&self) {
        self.doubted.fetch_max(nanos(self.now()), Ordering::Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
