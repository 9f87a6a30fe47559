//! The settings of a manager behind a transaction pooler: what cannot work there is refused, and
//! the direct connections are described.

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;

use super::{ConfigError, ManagerBuilder, parameters::Connecting};
use crate::pool::{Connector, PoolOptions};

/// The part of the builder that is about poolers.
#[derive(Debug, Clone, Default)]
pub(super) struct BehindPooler {
    pub(super) is_on: bool,
    pub(super) direct_url: Option<String>,
    pub(super) direct_connections: Option<usize>,
}

/// Default number of direct connections: the library's own, one for maintenance, one that listens.
const DIRECT_CONNECTIONS: usize = 4;

impl ManagerBuilder {
    /// Makes the URL of the manager that of a connection pooler in transaction mode. Default: off, and
    /// such a pooler is [refused](crate::ErrorKind::TransactionPooler).
    ///
    /// Nothing is bound to a connection then. Each statement on a handle is a transaction, whose
    /// first message also sets the tenant's search path, role and settings, for this transaction
    /// only. [`begin`](crate::TenantDb::begin) and [`transaction`](crate::TenantDb::transaction) do
    /// the same for several statements. A commit that fails is the error of the statement.
    ///
    /// Catalog, migrations, provisioning, seeds and all other maintenance need sessions, and use direct
    /// connections to the [`direct_url`](Self::direct_url), which is required. The two URLs must lead
    /// to the same database. The manager serves nothing if the direct URL leads to a pooler in
    /// transaction mode, too. A pooler in session mode or the server itself at the manager's URL do no
    /// harm.
    ///
    /// The pooler must be in transaction mode or in session mode, not in statement mode. The user of its URL
    /// should be used by this library only, and its own search path must not have any tables: run
    /// `alter role … set search_path to pg_catalog`. Others are refused as [`Config`](crate::ErrorKind::Config)
    /// when a connection is opened.
    ///
    /// **What cannot work is refused.** [`build`](Self::build) refuses [`dedicate`](Self::dedicate),
    /// [`after_connect`](Self::after_connect), [`after_bind`](Self::after_bind),
    /// [`budget_shared_by`](Self::budget_shared_by) and
    /// [`close_altered_sessions`](PoolOptions::close_altered_sessions).
    /// [`acquire`](crate::TenantDb::acquire) and statements that begin or end a transaction, or that
    /// concern the session, such as `set` and `listen`, fail with
    /// [`BehindPooler`](crate::ErrorKind::BehindPooler). PostgreSQL refuses several statements in one string.
    ///
    /// A stream of rows must be read to its end: if it is dropped before, its statement is rolled back.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::TenantManager;
    ///
    /// let manager = TenantManager::builder("postgres://app@pgbouncer:6432/saas")
    ///     .behind_transaction_pooler()
    ///     .direct_url("postgres://app@db:5432/saas")
    ///     .build()?;
    /// # Ok::<(), tenantry::ConfigError>(())
    /// ```
    pub fn behind_transaction_pooler(mut self) -> Self {
        self.behind_pooler.is_on = true;
        self
    }

    /// Sets the URL for direct connections to the server, in the form of
    /// [`TenantManager::builder`](super::TenantManager::builder), for a manager
    /// [behind a transaction pooler](Self::behind_transaction_pooler). Default: none.
    ///
    /// Its user can differ from that of the manager's URL: as with
    /// [`upkeep_credentials`](Self::upkeep_credentials), the tables that it creates are then
    /// granted to the user of the manager's URL. [`upkeep_url`](Self::upkeep_url) must name the same server and database.
    ///
    /// # Examples
    ///
    /// See [`behind_transaction_pooler`](Self::behind_transaction_pooler).
    pub fn direct_url(mut self, url: impl Into<String>) -> Self {
        self.behind_pooler.direct_url = Some(url.into());
        self
    }

    /// Sets how many [direct](Self::direct_url) connections the manager opens at most, including the one that
    /// listens for changes of the catalog. Default: 4. At least 2, and 3 if the catalog announces changes.
    ///
    /// They are not part of [`max_connections`](Self::max_connections), which limits connections to the
    /// pooler. Migrations of many tenants are faster with more.
    pub fn direct_connections(mut self, connections: usize) -> Self {
        self.behind_pooler.direct_connections = Some(connections);
        self
    }

    /// Returns how to connect directly, if the manager is behind a pooler.
    pub(super) fn read_direct(&self) -> Result<Option<Connecting>, ConfigError> {
        let BehindPooler { is_on, direct_url, direct_connections } = &self.behind_pooler;
        if !is_on {
            return match (direct_url, direct_connections) {
                (None, None) => Ok(None),
                (Some(_), _) => Err(ConfigError::NotBehindPooler { setting: "direct_url" }),
                (None, Some(_)) => {
                    Err(ConfigError::NotBehindPooler { setting: "direct_connections" })
                }
            };
        }
        let refused = [
            ("dedicate", self.dedicate.is_some()),
            ("credentials", self.credentials.is_some()),
            ("after_connect", self.after_connect.is_some()),
            ("after_bind", self.after_bind.is_some()),
            ("budget_shared_by", self.shared_budget.is_some()),
            ("close_altered_sessions", self.pool.close_altered_sessions),
        ];
        if let Some((setting, _)) = refused.into_iter().find(|(_, is_set)| *is_set) {
            return Err(ConfigError::BehindPooler { setting });
        }
        let url = direct_url.as_ref().ok_or(ConfigError::NoDirectUrl)?;
        Connecting::read(url).map(Some).map_err(ConfigError::DirectUrl)
    }
}

/// How to connect directly, and through the pooler if there is one, with the options of each pool.
pub(super) struct Split {
    pub(super) direct: (Connector, PoolOptions),
    pub(super) front: Option<(Connector, PoolOptions)>,
}

impl BehindPooler {
    /// Splits what is configured for one pool, if there are direct connections beside it.
    pub(super) fn split(
        &self,
        direct: Option<Connecting>,
        connector: Connector,
        pool: PoolOptions,
        outside: usize,
        named: impl FnOnce(Vec<PgConnectOptions>) -> Arc<[PgConnectOptions]>,
    ) -> Result<Split, ConfigError> {
        let Some(direct) = direct else {
            return Ok(Split { direct: (connector, pool), front: None });
        };
        let hosts = through_pooler(&connector.hosts).into();
        let front = Connector { hosts, by_transaction: true, ..connector.clone() };
        let direct = Connector {
            hosts: named(direct.hosts),
            target: direct.target,
            order: direct.order,
            timeout: direct.timeout.unwrap_or(pool.connect_timeout),
            ..connector
        };
        Ok(Split {
            direct: (direct, self.options_of_direct(&pool, outside)?),
            front: Some((front, options_of_front(&pool))),
        })
    }

    /// Returns the options of the direct connections.
    fn options_of_direct(
        &self,
        pool: &PoolOptions,
        outside: usize,
    ) -> Result<PoolOptions, ConfigError> {
        let connections = self.direct_connections.unwrap_or(DIRECT_CONNECTIONS);
        let least = outside + 2;
        if connections < least {
            return Err(ConfigError::FewDirectConnections { least });
        }
        let mut options = pool.clone();
        options.max_connections = connections;
        options.max_connections_per_tenant = None;
        options.reserved_connections = None;
        options.min_idle = 0;
        Ok(options)
    }
}

/// Returns the options of connections to the pooler: the library's own work needs none of them.
fn options_of_front(pool: &PoolOptions) -> PoolOptions {
    let mut options = pool.clone();
    options.reserved_connections = Some(0);
    options
}

/// Returns how to connect to a pooler. Statements have no names, and no parameter is sent that
/// PgBouncer refuses.
fn through_pooler(hosts: &[PgConnectOptions]) -> Vec<PgConnectOptions> {
    let through =
        |host: &PgConnectOptions| host.clone().statement_cache_capacity(0).extra_float_digits(None);
    hosts.iter().map(through).collect()
}

#[cfg(test)]
mod tests {
    use super::super::TenantManager;
    use super::*;

    const POOLER: &str = "postgres://app@localhost:6432/saas";
    const DIRECT: &str = "postgres://app@localhost:5432/saas";

    fn builder() -> ManagerBuilder {
        TenantManager::builder(POOLER).behind_transaction_pooler().direct_url(DIRECT)
    }

    fn refusal(builder: ManagerBuilder) -> String {
        builder.build().map(drop).unwrap_err().to_string()
    }

    #[tokio::test]
    async fn what_needs_a_session_is_refused() {
        assert!(builder().build().is_ok());
        for (builder, setting) in [
            (builder().dedicate(|_| true), "dedicate"),
            (builder().after_connect(|_| Box::pin(async { Ok(()) })), "after_connect"),
            (builder().budget_shared_by("service"), "budget_shared_by"),
            (
                builder().pool_options(PoolOptions::default().close_altered_sessions(true)),
                "close_altered_sessions",
            ),
        ] {
            assert!(refusal(builder).starts_with(setting));
        }
    }

    #[tokio::test]
    async fn the_direct_url_is_required_and_only_used_there() {
        let alone = TenantManager::builder(POOLER).behind_transaction_pooler();
        assert!(refusal(alone).contains("direct_url"));
        let unused = TenantManager::builder(POOLER).direct_url(DIRECT);
        assert!(refusal(unused).contains("behind_transaction_pooler"));
        let unused = TenantManager::builder(POOLER).direct_connections(3);
        assert!(refusal(unused).contains("behind_transaction_pooler"));
        let wrong = builder().direct_url("mysql://app:secret@h/saas");
        let said = refusal(wrong);
        assert!(said.contains("direct_url") && !said.contains("secret"), "{said}");
        assert!(refusal(builder().direct_connections(1)).contains("at least 2"));
    }

    #[tokio::test]
    async fn the_budgets_are_separate() {
        let manager = builder().max_connections(7).direct_connections(3).build().unwrap();
        assert_eq!(manager.snapshot().max, 7);
        let snapshots = manager.snapshots();
        let budgets: Vec<_> = snapshots.iter().map(|(name, of)| (name.as_str(), of.max)).collect();
        assert_eq!(budgets, [("main", 7), ("main/direct", 3)]);
    }
}
