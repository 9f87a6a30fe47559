use std::time::Duration;

use crate::error::OptionsError;

/// Timeout and cache options of the catalog.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenantry::{CatalogOptions, TenantManager};
///
/// let options = CatalogOptions::default()
///     .ttl(Duration::from_secs(30))
///     .stale_if_error(Duration::from_secs(60));
/// let manager = TenantManager::builder("postgres://app@localhost/saas").catalog_options(options);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogOptions {
    /// Maximum number of cached tenants. Default: 100,000.
    ///
    /// The same number of refused ids is cached separately, so guessed ids never evict a tenant.
    pub capacity: u64,
    /// How long a tenant is cached before the catalog is asked again. Default: 1 min.
    ///
    /// A suspended tenant is also served for up to this time, unless the catalog announces changes
    /// or [`TenantManager::invalidate`](crate::TenantManager::invalidate) is called.
    pub ttl: Duration,
    /// How long a known tenant is served after its [`ttl`](Self::ttl) while the catalog does not
    /// answer. Default: 10 min. Zero disables it: requests then fail as soon as the `ttl` is over.
    ///
    /// After the `ttl` a request waits up to 100 ms for the catalog, and does not wait while the
    /// catalog is known to be down; renewal continues in the background, once a second. Any answer
    /// takes effect at once: a tenant that is suspended or gone is refused. A tenant with an
    /// announced change, or one made or [invalidated](crate::TenantManager::invalidate) in this
    /// process, is refused until the catalog has answered. Entries of unknown and suspended tenants
    /// are never used longer than [`negative_ttl`](Self::negative_ttl).
    ///
    /// If the catalog announces changes and the listening connection is lost, changes may have been
    /// missed: every tenant is renewed at its next request, and this time counts from then.
    pub stale_if_error: Duration,
    /// How long an unknown or suspended tenant is cached. Default: 5 s.
    ///
    /// It keeps a client that repeats a request from reaching the database every time.
    pub negative_ttl: Duration,
    /// Maximum time for an answer of the catalog, with all attempts. Default: 5 s.
    ///
    /// A failed look-up is retried according to [`PoolOptions::retry`](crate::PoolOptions::retry),
    /// within this time. When all tenants are listed, it applies to each
    /// [page](crate::catalog::Page).
    pub timeout: Duration,
    /// Maximum number of unknown ids that wait for a look-up. Default: 1,000.
    ///
    /// A request for a further one fails at once as [`Overloaded`](crate::ErrorKind::Overloaded).
    /// Requests for the same id count once, and known tenants do not count: they are looked up
    /// first.
    ///
    /// At most as many look-ups run at a time as the pool has
    /// [reserved connections](crate::PoolOptions::reserved_connections), and at least one; each
    /// takes all waiting ids, up to 500. So clients that guess ids take no connection away from
    /// tenants.
    pub max_waiting: usize,
}

impl CatalogOptions {
    /// Sets [`capacity`](Self::capacity).
    #[must_use]
    pub fn capacity(mut self, tenants: u64) -> Self {
        self.capacity = tenants;
        self
    }

    /// Sets [`ttl`](Self::ttl).
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets [`stale_if_error`](Self::stale_if_error).
    #[must_use]
    pub fn stale_if_error(mut self, time: Duration) -> Self {
        self.stale_if_error = time;
        self
    }

    /// Sets [`negative_ttl`](Self::negative_ttl).
    #[must_use]
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.negative_ttl = ttl;
        self
    }

    /// Sets [`timeout`](Self::timeout).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets [`max_waiting`](Self::max_waiting).
    #[must_use]
    pub fn max_waiting(mut self, ids: usize) -> Self {
        self.max_waiting = ids;
        self
    }

    /// Validates the options.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        if self.timeout.is_zero() {
            return Err(OptionsError::new("catalog.timeout", "be longer than zero"));
        }
        if self.max_waiting == 0 {
            return Err(OptionsError::new("catalog.max_waiting", "be at least 1"));
        }
        Ok(())
    }
}

impl Default for CatalogOptions {
    fn default() -> Self {
        Self {
            capacity: 100_000,
            ttl: Duration::from_secs(60),
            stale_if_error: Duration::from_secs(10 * 60),
            negative_ttl: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            max_waiting: 1_000,
        }
    }
}
