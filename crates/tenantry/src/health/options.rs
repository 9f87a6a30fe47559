use std::time::Duration;

use crate::tenant::TenantId;

/// Options for a health check.
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
    /// The tenants to check. Default: those that currently have a tenant pool.
    pub tenants: HealthOf,
    /// Whether the database is queried. Default: `true`.
    ///
    /// It takes one or two round trips, however many tenants there are, and all concurrent checks
    /// use at most two connections together. Of several servers, each is queried at the same time, unless the
    /// check is about [nobody](HealthOf::Nobody): then only the main one is. If disabled, only the pool's own state is reported.
    pub ping: bool,
    /// Timeout for the database's answer. Default: 5 s. An answer after more than half of it is
    /// degraded.
    pub ping_timeout: Duration,
    /// Whether the report includes the shared database. Default: `true`.
    pub include_shared: bool,
}

/// The tenants that a health check covers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HealthOf {
    /// Those that currently have a tenant pool.
    Bound,
    /// None: only whether the instance can serve requests at all, for a readiness probe.
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
