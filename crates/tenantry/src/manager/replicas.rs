//! The read replicas of a manager's servers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sqlx::postgres::PgConnectOptions;

use super::{ConfigError, ManagerBuilder, ReplicaOptions};
use crate::{
    pool::{Connector, Lineage, PoolOptions, ReplicaPool},
    servers::Servers,
};

impl ManagerBuilder {
    /// Adds a read replica of a [server](Self::server): a PostgreSQL server that follows it by streaming
    /// replication. `main` is the one that the manager was built for. Call it once per replica; they
    /// take turns.
    ///
    /// [`TenantDb::read`](crate::TenantDb::read) uses it, and nothing else does. See
    /// [`ReadDb`](crate::ReadDb) for what a read sees, and when it goes to the primary instead. Tenants
    /// are isolated there as on the primary, in all kinds of isolation.
    ///
    /// Each replica has a pool and a budget of its own. If the budget is [shared](Self::budget_shared_by), each process
    /// has an even part of it there, unless [`ReplicaOptions::pool_options`] says otherwise. The logins and hooks of the
    /// manager apply, and the user needs no additional privilege. After a failover of the primary, a replica is used as
    /// soon as it is known to follow
    /// the new one: at once if the user is a member of `pg_read_all_stats`, and otherwise after its next
    /// restart point (`checkpoint_timeout`).
    ///
    /// **Failover.** With replicas, connections that can write go to the server with the newest timeline, among the
    /// hosts of the server and of its replicas. A former primary that is still up, or comes back, is not written to
    /// by this process once it knows of the new one: from a refused write (SQLSTATE 25006), from a failed
    /// connection, or from a read that finds a replica promoted. So never name a copy of the server that was promoted
    /// for another purpose, such as a restored backup: its timeline is the newest.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::TenantManager;
    ///
    /// let manager = TenantManager::builder("postgres://app@db-main/saas")
    ///     .server("eu-1", "postgres://app@db-eu/saas")
    ///     .replica("main", "postgres://app@db-main-replica/saas")
    ///     .replica("eu-1", "postgres://app@db-eu-replica/saas")
    ///     .build()?;
    /// # Ok::<(), tenantry::ConfigError>(())
    /// ```
    pub fn replica(
        mut self,
        server: impl Into<String>,
        replica: impl Into<ReplicaOptions>,
    ) -> Self {
        self.replicas.push((server.into(), replica.into()));
        self
    }
}

/// Returns the replicas of each server, by its name, and lets the connections of the servers find their primaries
/// among them.
pub(super) fn by_server(
    replicas: Vec<(String, ReplicaOptions)>,
    servers: &mut BTreeMap<Arc<str>, &mut Connector>,
    pool: &PoolOptions,
    named: impl Fn(Vec<PgConnectOptions>) -> Arc<[PgConnectOptions]>,
) -> Result<BTreeMap<Arc<str>, Vec<ReplicaPool>>, ConfigError> {
    let mut by_server: BTreeMap<Arc<str>, Vec<ReplicaPool>> = BTreeMap::new();
    for (name, replica) in replicas {
        let Some((server, primary)) = servers.get_key_value(&*name) else {
            return Err(ConfigError::ReplicaOf { name });
        };
        replica.check()?;
        let connecting = replica.connecting;
        let connecting = connecting.map_err(|error| ConfigError::ReplicaUrl { name, error })?;
        let options = replica.pool.unwrap_or_else(|| pool.clone());
        options.check()?;
        let connector = Connector {
            hosts: named(connecting.hosts),
            target: connecting.target,
            order: connecting.order,
            timeout: connecting.timeout.unwrap_or(options.connect_timeout),
            by_transaction: false,
            ..(**primary).clone()
        };
        let replica = ReplicaPool { connector, options, limits: replica.limits };
        by_server.entry(Arc::clone(server)).or_default().push(replica);
    }
    for (server, replicas) in &by_server {
        if let Some(primary) = servers.get_mut(server) {
            follow(primary, replicas);
        }
    }
    Ok(by_server)
}

/// Adds the replicas to their servers.
pub(super) fn add(servers: &Servers, mut replicas: BTreeMap<Arc<str>, Vec<ReplicaPool>>) {
    for (name, server) in servers.all() {
        if let Some(replicas) = replicas.remove(name) {
            server.add_replicas(replicas);
        }
    }
}

/// Lets a server's connections find its primary after a failover, among its hosts and those of its replicas.
fn follow(primary: &mut Connector, replicas: &[ReplicaPool]) {
    if primary.target.wants_standby() {
        return;
    }
    let place = |host: &PgConnectOptions| {
        (host.get_socket().cloned(), host.get_host().to_owned(), host.get_port())
    };
    let mut known: BTreeSet<_> = primary.hosts.iter().map(place).collect();
    let hosts = replicas.iter().flat_map(|replica| replica.connector.hosts.iter());
    let hosts = hosts.filter(|host| known.insert(place(host))).cloned().collect();
    primary.lineage = Some(Arc::new(Lineage::new(hosts)));
}
