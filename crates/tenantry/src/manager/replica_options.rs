use std::{fmt, time::Duration};

use super::{parameters::Connecting, url::UrlError};
use crate::{
    error::OptionsError,
    pool::{PoolOptions, ReplicaLimits},
};

/// A read replica, for [`ManagerBuilder::replica`](super::ManagerBuilder::replica).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use tenantry::{PoolOptions, ReplicaOptions, TenantManager};
///
/// let reports = ReplicaOptions::new("postgres://app@db-reports/saas")
///     .max_lag(Duration::from_secs(2))
///     .pool_options(PoolOptions::default().max_connections(5));
/// let manager = TenantManager::builder("postgres://app@db-main/saas")
///     .replica("main", "postgres://app@db-replica/saas")
///     .replica("main", reports);
/// ```
#[must_use = "options do nothing until they are given to a builder"]
pub struct ReplicaOptions {
    pub(super) connecting: Result<Connecting, UrlError>,
    pub(super) pool: Option<PoolOptions>,
    pub(super) limits: ReplicaLimits,
}

/// The limits of [`max_lag`](ReplicaOptions::max_lag). Sessions that were bound by older data have to be bound again
/// soon; see `FOUND_FOR` in the pool.
const LAG: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

impl ReplicaOptions {
    /// Sets the URL, in the form of [`TenantManager::builder`](crate::TenantManager::builder). It can have several
    /// hosts, or lead to several by one name: what is known of a server's position is kept for each of them.
    pub fn new(url: impl AsRef<str>) -> Self {
        Self {
            connecting: Connecting::read(url.as_ref()),
            pool: None,
            limits: ReplicaLimits::default(),
        }
    }

    /// Sets the options of the replica's pool, including its budget. Default: those of the manager's
    /// [`pool_options`](super::ManagerBuilder::pool_options).
    ///
    /// Processes with a [shared budget](super::ManagerBuilder::budget_shared_by) do not lend each other connections
    /// to replicas. By default, each may open `max_connections` divided by
    /// [`processes`](crate::SharedBudget::processes) to each of them, and with options of its own, as many as
    /// these say.
    pub fn pool_options(self, pool: PoolOptions) -> Self {
        Self { pool: Some(pool), ..self }
    }

    /// Sets how long before now the newest data of the replica may have been committed. Default and maximum: 5 s;
    /// minimum: 100 ms. Beyond it, the replica answers no reads.
    ///
    /// Measured by the clock of this process: reads make it ask the primary for its position at least five times
    /// in this time.
    pub fn max_lag(mut self, lag: Duration) -> Self {
        self.limits.time = lag;
        self
    }

    /// Sets how much of the log the replica may still have to replay, in bytes. Default: 16 MiB. Beyond it,
    /// the replica answers no reads.
    pub fn max_lag_bytes(mut self, bytes: u64) -> Self {
        self.limits.bytes = bytes;
        self
    }

    pub(super) fn check(&self) -> Result<(), OptionsError> {
        let [least, most] = LAG;
        match (least..=most).contains(&self.limits.time) {
            true => Ok(()),
            false => Err(OptionsError::new("replica.max_lag", "be between 100 ms and 5 s")),
        }
    }
}

impl From<&str> for ReplicaOptions {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<String> for ReplicaOptions {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl fmt::Debug for ReplicaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Omits the URL, which can contain the password.
        f.debug_struct("ReplicaOptions")
            .field("pool", &self.pool)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
