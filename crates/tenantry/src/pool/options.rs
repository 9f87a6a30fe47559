use std::time::Duration;

use super::{
    BreakerOptions,
    scheduler::Limits,
    session::{KeepStatements, Manner},
};
use crate::{error::OptionsError, retry::RetryPolicy};

/// How the pool of one server behaves.
///
/// Every field has a default that suits a web service. The builder of the manager has setters for
/// those that are set most often, which win over
/// [`pool_options`](crate::ManagerBuilder::pool_options).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenantry::{PoolOptions, TenantManager};
///
/// let options = PoolOptions::default()
///     .statement_timeout(Duration::from_secs(10))
///     .max_lifetime(None);
/// let manager = TenantManager::builder("postgres://app@localhost/saas")
///     .max_connections(40)
///     .pool_options(options);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PoolOptions {
    /// Connections to the server in this process, at most. Default: 20.
    ///
    /// The sum over all processes has to stay below the server's `max_connections`. Everything the
    /// library does counts, reading the catalog and listening to it included.
    pub max_connections: usize,
    /// Connections that one tenant may have in use at a time. Default: `None`, ¾ of those that tenants
    /// can have: of the budget without the reserve and without the connection that listens to the
    /// catalog, rounded down, and at least 1.
    ///
    /// It holds always, whoever else waits: statements of one tenant that hang leave a place to the
    /// others, where there are two or more. More can be had by setting it, up to the budget, and then
    /// one tenant can hold everything. The shared handle has no cap, and upkeep has one only when this
    /// is set.
    ///
    /// With a cap of 1, a program that holds a transaction or a lease of a tenant and runs a statement on
    /// the tenant's handle waits for itself until `acquire_timeout`.
    pub max_connections_per_tenant: Option<usize>,
    /// Connections that tenants leave to the library: to read the catalog, to cancel what was
    /// abandoned, to check health. Default: 1 of 10 or more, else 0.
    ///
    /// With a reserve, the library does not wait while tenants hold every other connection. Without
    /// one it is still first in line for the next that is given back. The smaller the budget, the
    /// more of it a reserve would cost.
    pub reserved_connections: Option<usize>,
    /// Requests of one tenant that may wait for a connection. Default: 1,000.
    ///
    /// One more is refused at once: it would not be served before its deadline anyway.
    pub max_waiting_per_tenant: usize,
    /// How long an acquire may take altogether: waiting, opening and binding. Default: 5 s.
    pub acquire_timeout: Duration,
    /// How long opening one connection may take, with all attempts. Default: 3 s.
    ///
    /// Less than `acquire_timeout`, so that a request whose connection cannot be opened may still get
    /// one that has become idle.
    pub connect_timeout: Duration,
    /// How long a connection may be idle before it is closed. Default: 10 min; `None` for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a connection may live, more or less: each gets up to 10 % less, by chance, so that
    /// they do not all end at once. Default: 30 min; `None` for ever.
    ///
    /// A connection that is leased when its time comes is closed when it is given back.
    pub max_lifetime: Option<Duration>,
    /// Idle connections that are kept open. Default: 0.
    pub min_idle: usize,
    /// How long a connection may have been idle and still be handed out without asking the server
    /// whether it is there. Default: 1 s.
    ///
    /// Once one connection was found dead, all that were idle at that time are asked first.
    pub liveness_check_after: Duration,
    /// Tables that a connection may have come across before it is closed: the sum over the tenants
    /// it has served. Default: 2,000.
    ///
    /// A PostgreSQL backend keeps some 15 kB for every table it has touched and never gives them
    /// back, so this is about 30 MB: 200 tenants of 10 tables, or 20 of 100. A tenant whose tables
    /// were not counted, because statements are not kept, counts as 10.
    pub max_tables_per_connection: usize,
    /// Tenants that a connection serves before it is closed, however few tables they have.
    /// Default: 2,000.
    pub max_tenants_per_connection: usize,
    /// How far, in time that connections are held, a tenant may run ahead of its turn because the
    /// connection that has become free is bound to it already. Default: 20 ms.
    ///
    /// Zero makes the order strict. More gives more hits under load, and a longer wait for others.
    pub affinity: Duration,
    /// Tenant pools that are remembered, those in use aside. Default: 10,000.
    pub max_tenant_pools: usize,
    /// How long a tenant pool is remembered after its last use. Default: 1 h.
    pub tenant_pool_ttl: Duration,
    /// Whether prepared statements stay when a connection goes from one tenant to another whose
    /// tables look the same. Default: `true`.
    ///
    /// It saves most of the cost of a rebind. Turn it off if you bind values of a table's own row
    /// type, or select whole rows (`select u from users u`) inside transactions: these fail once after
    /// a rebind.
    pub keep_statements: bool,
    /// Whether a session that may have been altered is closed instead of being reset. Default:
    /// `false`.
    ///
    /// A reset takes off what `DISCARD ALL` does, and more; what it leaves, such as a library that was
    /// loaded with `load`, or a custom setting that is empty instead of absent, is listed in the
    /// project's `SECURITY.md`. With this option nobody gets a session after anything else than plain
    /// queries: every lease, transaction and statement that may reach into the session costs a
    /// connection, which takes ten to twenty times as long as a reset.
    pub close_altered_sessions: bool,
    /// How long cleaning a session may take after a lease was dropped in the middle of a statement,
    /// before the connection is closed. Default: 5 s.
    pub cleanup_timeout: Duration,
    /// How long a statement on a handle may take before its caller is told that it has not ended.
    /// Default: `None`, as long as it takes.
    ///
    /// Time spent waiting for the server counts, summed over all rows of a stream; the time that the
    /// reader of a stream takes between two rows does not. It is counted here and not by the server, so it
    /// holds when the server is hung or the network swallows the answer. The error is
    /// [`StatementTimeout`](crate::ErrorKind::StatementTimeout): nobody knows whether the statement was
    /// executed. It is cancelled in the background. What runs on a lease or in a transaction is sqlx's
    /// own and not covered.
    pub statement_timeout: Option<Duration>,
    /// How long a transaction may be idle, its next statement not sent, before the server ends it with
    /// its session. Default: 60 s. Zero turns it off, `None` leaves what the server is configured with.
    ///
    /// A transaction holds a connection of the budget, its locks, and the vacuum of the whole database.
    /// One that waits for a client or for another service holds them for as long as that takes. The
    /// server rolls it back, its next statement fails with
    /// [`IdleInTransaction`](crate::ErrorKind::IdleInTransaction), and the pool opens another connection.
    ///
    /// Over a Unix socket, the error may be that of a broken connection instead.
    ///
    /// It is PostgreSQL's `idle_in_transaction_session_timeout`, counted in whole milliseconds, rounded up.
    /// A tenant's own [setting](crate::TenantRecord::settings) of that name wins, and so does SQL that sets
    /// it, until the connection is given back. It covers tenants and the shared schema. Migrations,
    /// provisioning and seeds have no such limit.
    pub idle_in_transaction_timeout: Option<Duration>,
    /// Whether sessions carry the tenant that they are bound to in their `application_name`, so that
    /// `pg_stat_activity` and the server's log tell tenants apart. Default: `false`.
    ///
    /// The name is then `tenantry/<instance>/<tenant>`; without it, or while a session is bound to no tenant,
    /// it is `tenantry/<instance>`. PostgreSQL keeps 63 bytes: the
    /// [instance](crate::ManagerBuilder::instance) is cut to 31 of them, and the end of a tenant's id where it
    /// does not fit. The name is part of the string that binds a session, so it takes no round trip; it costs
    /// about 10 µs a rebind, up to 4 % of a load that does nothing but rebind.
    pub name_tenants: bool,
    /// Whether a task that has a connection in hand is refused another one, with
    /// [`NestedAcquire`](crate::ErrorKind::NestedAcquire). Default: `false`. For tests.
    ///
    /// A task that holds a lease, a transaction or a row of a stream and asks for a second connection waits
    /// for itself as soon as every connection is held by tasks that do the same: it works in tests, and
    /// stops the service under load. Turned on, every such acquire fails at once, a single statement on a
    /// handle included. In any case a warning is logged when one has waited for half a second, and the event
    /// [`AcquireTimeout`](crate::event::AcquireTimeout) says so.
    ///
    /// A connection counts for the task in which it was acquired until it is dropped. Statements that a task
    /// runs side by side with `join!` do not count. Two leases or transactions that are held so do: spawn
    /// them as tasks.
    pub refuse_nested_acquires: bool,
    /// How often opening a connection is tried again. Default: that of [`RetryPolicy`], 3 attempts.
    ///
    /// A short restart of the server or of a proxy is survived by waiting instead of failing. It ends at
    /// `connect_timeout` in any case. The same policy is used to ask the catalog and by
    /// [`TenantDb::ready`](crate::TenantDb::ready), there with `acquire_timeout` as the limit.
    pub retry: RetryPolicy,
    /// When opening connections is suspended because it fails every time.
    pub breaker: BreakerOptions,
    #[cfg(test)]
    pub(crate) broken: super::Broken,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            max_connections: 20,
            max_connections_per_tenant: None,
            reserved_connections: None,
            max_waiting_per_tenant: 1_000,
            acquire_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(3),
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            min_idle: 0,
            liveness_check_after: Duration::from_secs(1),
            max_tables_per_connection: 2_000,
            max_tenants_per_connection: 2_000,
            affinity: Duration::from_millis(20),
            max_tenant_pools: 10_000,
            tenant_pool_ttl: Duration::from_secs(60 * 60),
            keep_statements: true,
            close_altered_sessions: false,
            cleanup_timeout: Duration::from_secs(5),
            statement_timeout: None,
            idle_in_transaction_timeout: Some(Duration::from_secs(60)),
            name_tenants: false,
            refuse_nested_acquires: false,
            retry: RetryPolicy::default(),
            breaker: BreakerOptions::default(),
            #[cfg(test)]
            broken: super::Broken::default(),
        }
    }
}

/// The largest budget: PostgreSQL's own limit of `max_connections`.
const MOST_CONNECTIONS: usize = 262_143;

impl PoolOptions {
    /// Checks that the options do not contradict each other.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] names the option and what it must be.
    pub fn check(&self) -> Result<(), OptionsError> {
        let at_least_one = [
            ("max_connections", self.max_connections),
            ("max_connections_per_tenant", self.max_connections_per_tenant.unwrap_or(1)),
            ("max_waiting_per_tenant", self.max_waiting_per_tenant),
            ("max_tables_per_connection", self.max_tables_per_connection),
            ("max_tenants_per_connection", self.max_tenants_per_connection),
            ("max_tenant_pools", self.max_tenant_pools),
        ];
        for (option, value) in at_least_one {
            if value == 0 {
                return Err(OptionsError::new(option, "be at least 1"));
            }
        }
        let must_last = [
            ("acquire_timeout", self.acquire_timeout),
            ("connect_timeout", self.connect_timeout),
            ("cleanup_timeout", self.cleanup_timeout),
            ("tenant_pool_ttl", self.tenant_pool_ttl),
            ("idle_timeout", self.idle_timeout.unwrap_or(Duration::MAX)),
            ("max_lifetime", self.max_lifetime.unwrap_or(Duration::MAX)),
            ("statement_timeout", self.statement_timeout.unwrap_or(Duration::MAX)),
        ];
        for (option, value) in must_last {
            if value.is_zero() {
                return Err(OptionsError::new(option, "be longer than zero"));
            }
        }
        let budget = self.max_connections;
        let not_above = [
            ("max_connections", budget, MOST_CONNECTIONS),
            ("max_connections_per_tenant", self.max_connections_per_tenant.unwrap_or(1), budget),
            ("reserved_connections", self.reserve(), budget - 1),
            ("min_idle", self.min_idle, budget),
        ];
        for (option, value, most) in not_above {
            if value > most {
                let must = format!("be at most {most}, the budget considered, and is {value}");
                return Err(OptionsError::new(option, must));
            }
        }
        self.retry.check()?;
        self.breaker.check()
    }

    pub(crate) fn reserve(&self) -> usize {
        self.reserved_connections.unwrap_or(usize::from(self.max_connections >= 10))
    }

    /// Returns the limits of the scheduler when `outside` connections of the budget are used by
    /// something else.
    pub(super) fn limits(&self, outside: usize) -> Limits {
        let budget = self.max_connections.saturating_sub(outside).max(1);
        let reserve = self.reserve().min(budget - 1);
        let of_tenants = budget - reserve;
        let cap = self.max_connections_per_tenant.unwrap_or((of_tenants * 3 / 4).max(1));
        Limits {
            budget,
            reserve,
            cap: cap.min(budget),
            max_waiting: self.max_waiting_per_tenant,
            affinity: self.affinity,
            idle_timeout: self.idle_timeout,
            min_idle: self.min_idle.min(budget),
            max_tenant_pools: self.max_tenant_pools,
            tenant_pool_ttl: self.tenant_pool_ttl,
        }
    }

    /// Returns how sessions are bound.
    pub(super) fn manner(&self) -> Manner {
        let keep = match self.keep_statements {
            true => KeepStatements::WhenAlike,
            false => KeepStatements::Never,
        };
        Manner {
            keep,
            idle_in_transaction: self.idle_in_transaction_timeout,
            name_tenants: self.name_tenants,
            #[cfg(test)]
            broken: self.broken,
        }
    }

    /// Returns how often to look after idle connections and quiet tenants.
    pub(super) fn tick(&self) -> Duration {
        let shortest = [self.idle_timeout, self.max_lifetime, Some(self.tenant_pool_ttl)]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(Duration::MAX);
        (shortest / 4).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_option_that_contradicts() {
        let cases: [(&str, PoolOptions); 5] = [
            ("max_connections", PoolOptions { max_connections: 0, ..Default::default() }),
            (
                "max_connections_per_tenant",
                PoolOptions { max_connections_per_tenant: Some(21), ..Default::default() },
            ),
            (
                "reserved_connections",
                PoolOptions { reserved_connections: Some(20), ..Default::default() },
            ),
            (
                "acquire_timeout",
                PoolOptions { acquire_timeout: Duration::ZERO, ..Default::default() },
            ),
            ("min_idle", PoolOptions { min_idle: 21, ..Default::default() }),
        ];
        for (option, options) in cases {
            assert_eq!(options.check().map_err(|error| error.option()), Err(option));
        }
        assert_eq!(PoolOptions::default().check(), Ok(()));
        let one = PoolOptions { max_connections: 1, ..Default::default() };
        assert_eq!(one.check(), Ok(()));
        assert_eq!((one.limits(0).reserve, one.limits(0).cap), (0, 1));
    }

    #[test]
    fn a_tenant_leaves_a_place_where_there_are_two() {
        for (max_connections, outside, cap) in [
            (1, 0, 1),
            (2, 0, 1),
            (2, 1, 1),
            (3, 0, 2),
            (4, 0, 3),
            (8, 0, 6),
            (10, 1, 6),
            (20, 1, 13),
        ] {
            let options = PoolOptions { max_connections, ..Default::default() };
            assert_eq!(options.limits(outside).cap, cap, "{max_connections} without {outside}");
        }
        let all = PoolOptions { max_connections_per_tenant: Some(20), ..Default::default() };
        assert_eq!(all.limits(0).cap, 20);
    }
}
