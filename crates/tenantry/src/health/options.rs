use std::time::Duration;

use crate::tenant::TenantId;

/// What a health check looks at.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) {
/// use std::time::Duration;
/// use tenantry::HealthOptions;
///
/// let options = HealthOptions::default().ping_timeout(Duration::from_secs(3));
/// let health = manager.health(options).await;
/// println!("{}: {} of {} pools are degraded", health.healthy, health.degraded_pools, health.total_pools);
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthOptions {
    /// Which tenants. Default: those that have a tenant pool now.
    pub tenants: HealthOf,
    /// Whether the database is asked. Default: `true`.
    ///
    /// It takes one or two round trips, however many tenants there are, and all checks together take two
    /// connections at a time at most. Without it only what the pool knows is told.
    pub ping: bool,
    /// How long the database may take to answer. Default: 5 s. More than half of it is degraded.
    pub ping_timeout: Duration,
    /// Whether the shared database is in the report. Default: `true`.
    pub include_shared: bool,
}

/// Which tenants a health check looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HealthOf {
    /// Those that have a tenant pool now.
    Bound,
    /// None: whether the instance can serve requests at all, as a readiness probe asks.
    Nobody,
    /// These, whether or not they have a tenant pool.
    These(Vec<TenantId>),
}

impl Default for HealthOptions {
    fn default() -> Self {
        Self {
            tenants: HealthOf::Bound,
            ping: true,
            ping_timeout: Duration::from_secs(5),
            include_shared: true,
        }
    }
}

impl HealthOptions {
    /// Sets [`tenants`](Self::tenants).
    #[must_use]
    pub fn tenants(mut self, tenants: HealthOf) -> Self {
        self.tenants = tenants;
        self
    }

    /// Sets [`ping`](Self::ping).
    #[must_use]
    pub fn ping(mut self, ping: bool) -> Self {
        self.ping = ping;
        self
    }

    /// Sets [`ping_timeout`](Self::ping_timeout).
    #[must_use]
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = timeout;
        self
    }

    /// Sets [`include_shared`](Self::include_shared).
    #[must_use]
    pub fn include_shared(mut self, include: bool) -> Self {
        self.include_shared = include;
        self
    }
}
