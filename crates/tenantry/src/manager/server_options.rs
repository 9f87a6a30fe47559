use std::fmt;

use super::{parameters::Connecting, url::UrlError};
use crate::pool::PoolOptions;

/// A further server, for [`ManagerBuilder::server`](super::ManagerBuilder::server).
///
/// # Examples
///
/// ```
/// use tenantry::{PoolOptions, ServerOptions, TenantManager};
///
/// let large = ServerOptions::new("postgres://app@db-large/saas")
///     .pool_options(PoolOptions::default().max_connections(60));
/// let manager = TenantManager::builder("postgres://app@db-main/saas")
///     .server("eu-1", "postgres://app@db-eu/saas")
///     .server("large", large);
/// ```
#[must_use = "options do nothing until they are given to a builder"]
pub struct ServerOptions {
    pub(super) connecting: Result<Connecting, UrlError>,
    pub(super) pool: Option<PoolOptions>,
    pub(super) weight: f64,
    pub(super) draining: bool,
    pub(super) from_others: Option<String>,
}

impl ServerOptions {
    /// Sets the URL, in the form of [`TenantManager::builder`](crate::TenantManager::builder).
    pub fn new(url: impl AsRef<str>) -> Self {
        Self {
            connecting: Connecting::read(url.as_ref()),
            pool: None,
            weight: 1.0,
            draining: false,
            from_others: None,
        }
    }

    /// Sets the options of this server's pool, including its budget. Default: those of the
    /// manager's [`pool_options`](super::ManagerBuilder::pool_options), so that each server has
    /// the same budget.
    pub fn pool_options(self, pool: PoolOptions) -> Self {
        Self { pool: Some(pool), ..self }
    }

    /// Sets its share of new tenants, relative to that of other servers: a positive number. Default: 1, which is
    /// also the share of the manager's own server.
    ///
    /// Policies that weigh servers use it: [`least_loaded`](crate::PlacementPolicy::least_loaded) and
    /// [`by_weight`](crate::PlacementPolicy::by_weight).
    pub fn weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// Sets whether the server gets no new tenants, because it will be emptied. Default: `false`. Its tenants are
    /// served and migrated as before.
    ///
    /// The [placement policy](super::ManagerBuilder::placement) skips it, and a creation that
    /// [names it](crate::provision::CreateOptions::server) is refused. A creation that was interrupted on it is
    /// resumed.
    pub fn draining(self, draining: bool) -> Self {
        Self { draining, ..self }
    }

    /// Sets how other servers connect to this one, as [`ManagerBuilder::replication_connection`] does for the
    /// manager's own.
    ///
    /// [`ManagerBuilder::replication_connection`]: super::ManagerBuilder::replication_connection
    pub fn replication_connection(self, parameters: impl Into<String>) -> Self {
        Self { from_others: Some(parameters.into()), ..self }
    }
}

impl From<&str> for ServerOptions {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<String> for ServerOptions {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Omits the URL and the replication connection, which can contain passwords.
        f.debug_struct("ServerOptions")
            .field("pool", &self.pool)
            .field("weight", &self.weight)
            .field("draining", &self.draining)
            .finish_non_exhaustive()
    }
}
