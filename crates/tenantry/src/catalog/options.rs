use std::time::Duration;

use crate::error::OptionsError;

/// How long the catalog may take, and for how long its answers are used.
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
    /// Tenants that are remembered, at most. Default: 100,000.
    ///
    /// As many ids that are refused are remembered beside them, so ids that somebody guesses never push
    /// a tenant out.
    pub capacity: u64,
    /// How long a tenant is remembered before the catalog is asked again. Default: 1 min.
    ///
    /// This is also how long a tenant that was suspended is still served, unless the catalog
    /// announces changes or [`TenantManager::invalidate`](crate::TenantManager::invalidate) is called.
    pub ttl: Duration,
    /// How long a tenant that is known is served after its [`ttl`](Self::ttl) while the catalog does not
    /// answer. Default: 10 min. Zero turns it off: requests then fail as soon as the `ttl` is over.
    ///
    /// After the `ttl` a request waits up to 100 ms for the catalog, and none waits while the catalog is
    /// known not to answer; renewal goes on in the background, once a second. Any answer counts at once:
    /// a tenant that is suspended or gone is refused. So is one of which a change was announced, or made
    /// or [invalidated](crate::TenantManager::invalidate) in this process, until the catalog has
    /// answered. What is remembered of unknown and suspended tenants is never used longer than
    /// [`negative_ttl`](Self::negative_ttl).
    ///
    /// Where the catalog announces changes and the connection that listens is lost, changes may have been
    /// missed: every tenant is renewed at its next request, and this time counts from then.
    pub stale_if_error: Duration,
    /// How long it is remembered that there is no such tenant, or that it is suspended. Default: 5 s.
    ///
    /// It keeps a client that repeats itself from reaching the database every time.
    pub negative_ttl: Duration,
    /// How long the catalog may take to answer, with all attempts. Default: 5 s.
    ///
    /// A tenant that cannot be looked up is looked up again as
    /// [`PoolOptions::retry`](crate::PoolOptions::retry) says, within this time. When all tenants are
    /// listed, each [page](crate::catalog::Page) has as long.
    pub timeout: Duration,
    /// Ids that nobody has heard of yet and that wait to be looked up, at most. Default: 1,000.
    ///
    /// A request for one more fails at once as [`Overloaded`](crate::ErrorKind::Overloaded). Requests for
    /// the same id count once, and tenants that are known do not count: they are looked up first.
    ///
    /// At most as many look-ups run at a time as the pool has
    /// [reserved connections](crate::PoolOptions::reserved_connections), and at least one; each takes all
    /// ids that wait, up to 500. So clients that guess ids take no connection away from tenants.
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

    /// Checks that the options can be used.
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
