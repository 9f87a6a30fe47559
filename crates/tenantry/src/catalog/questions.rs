//! Questions to the catalog past the cache, and how seldom they are asked.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use tokio::{sync::OnceCell, time::Instant};

use crate::tenant::TenantId;

/// How often the catalog is asked about a tenant whose statements find nothing.
pub(super) const SELDOM: Duration = Duration::from_secs(1);

/// The latest questions about tenants that were asked past the cache.
pub(super) struct Questions(Cache<TenantId, Asking>);

#[derive(Clone)]
struct Asking {
    since: Instant,
    /// Set once the catalog has answered, or failed to.
    answered: Arc<OnceCell<()>>,
}

impl Questions {
    pub(super) fn new(capacity: u64) -> Self {
        Self(Cache::builder().max_capacity(capacity).time_to_live(SELDOM).build())
    }

    /// Allows the next question at once.
    pub(super) fn forget(&self, id: &TenantId) {
        self.0.invalidate(id);
    }

    /// Returns the latest question if it is recent enough, or a new one.
    pub(super) fn latest(&self, id: &TenantId, every: Duration) -> Arc<OnceCell<()>> {
        let is_old = |asking: &Asking| asking.since.elapsed() >= every;
        let new = || Asking { since: Instant::now(), answered: Arc::default() };
        self.0.entry_by_ref(id).or_insert_with_if(new, is_old).into_value().answered
    }
}
