use std::time::Duration;

use super::{breaker::BreakerOptions, scheduler::Limits};
use crate::{error::OptionsError, retry::RetryPolicy};

/// Options for the connection pool of one server.
///
/// Every field has a default that suits a web service. The manager's builder has setters for the
/// most common fields; these override [`pool_options`](crate::ManagerBuilder::pool_options).
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
    /// Maximum number of connections to the server from this process. Default: 20.
    ///
    /// The sum over all processes must stay below the server's `max_connections`. All connections
    /// of the library count, including those that read the catalog and listen for its changes.
    pub max_connections: usize,
    /// Maximum number of connections that one tenant may use at a time. Default: `None`, ¾ of those
    /// available to tenants: of the budget without the reserve and without the connection that
    /// listens for catalog changes, rounded down, and at least 1.
    ///
    /// It always applies, even when no other tenant waits: hanging statements of one tenant leave
    /// room for the others, if there are two connections or more. A higher value, up to the budget,
    /// lets one tenant use every connection. The shared handle has no cap, and maintenance has one
    /// only when this is set.
    ///
    /// With a cap of 1, a program that holds a transaction or a lease of a tenant and runs a
    /// statement on the tenant's handle waits for itself until `acquire_timeout`.
    pub max_connections_per_tenant: Option<usize>,
    /// Connections reserved for the library: to read the catalog, to cancel abandoned statements,
    /// to check health. Default: 1 of 10 or more, otherwise 0.
    ///
    /// With a reserve, the library does not wait when tenants hold every other connection. Without
    /// one, it is still first in line for the next returned connection. The smaller the budget, the
    /// larger the share that a reserve would take.
    pub reserved_connections: Option<usize>,
    /// Maximum number of requests of one tenant that wait for a connection. Default: 1,000.
    ///
    /// Further requests are refused at once: they would not be served before their deadline anyway.
    pub max_waiting_per_tenant: usize,
    /// Maximum duration of an acquire, including waiting, connecting and binding. Default: 5 s.
    pub acquire_timeout: Duration,
    /// Maximum duration of a connect, with all attempts. Default: 3 s.
    ///
    /// It is less than `acquire_timeout`, so that a request whose connect fails may still get an
    /// idle connection.
    pub connect_timeout: Duration,
    /// Maximum idle time of a connection before it is closed. Default: 10 min; `None` for no limit.
    pub idle_timeout: Option<Duration>,
    /// Maximum lifetime of a connection, reduced by up to 10 % at random, so that connections do
    /// not all expire at once. Default: 30 min; `None` for no limit.
    ///
    /// A connection that expires while leased is closed when it is returned.
    pub max_lifetime: Option<Duration>,
    /// Minimum number of idle connections that are kept open. Default: 0.
    pub min_idle: usize,
    /// Maximum idle time after which a connection is still handed out without a ping. Default: 1 s.
    ///
    /// Once one connection was found dead, all that were idle at that time are pinged first.
    pub liveness_check_after: Duration,
    /// Maximum number of tables that a connection touches before it is closed, summed over the
    /// tenants it has served. Default: 2,000.
    ///
    /// A PostgreSQL backend keeps some 15 kB for every table it has touched and never frees them,
    /// so this is about 30 MB: 200 tenants of 10 tables, or 20 of 100. A tenant whose tables were
    /// not counted, because statements are not kept, counts as 10.
    pub max_tables_per_connection: usize,
    /// Maximum number of tenants that a connection serves before it is closed, however few tables
    /// they have. Default: 2,000.
    pub max_tenants_per_connection: usize,
    /// How far, in hold time, a tenant may run ahead of its turn because the free connection is
    /// already bound to it. Default: 20 ms.
    ///
    /// Zero makes the order strict. A higher value gives more hits under load, and longer waits for
    /// other tenants.
    pub affinity: Duration,
    /// Maximum number of tenant pools that are kept, not counting those in use. Default: 10,000.
    pub max_tenant_pools: usize,
    /// How long a tenant pool is kept after its last use. Default: 1 h.
    pub tenant_pool_ttl: Duration,
    /// Whether prepared statements are kept when a connection goes from one tenant to another with
    /// identical tables. Default: `true`.
    ///
    /// It saves most of the cost of a rebind. Disable it if you bind values of a table's own row
    /// type, or select whole rows (`select u from users u`) inside transactions: these fail once
    /// after a rebind.
    pub keep_statements: bool,
    /// Whether a session that may have been altered is closed instead of being reset. Default:
    /// `false`.
    ///
    /// A reset removes what `DISCARD ALL` removes, except for prepared statements and their plans
    /// (see [`keep_statements`](Self::keep_statements)). The project's `SECURITY.md` lists what
    /// both leave, such as a library that was loaded with `load`, or a custom setting that is empty
    /// instead of absent.
    ///
    /// With this option, a session is reused only after plain queries: every lease, transaction and
    /// statement that may modify the session costs a connect, which takes ten to twenty times as
    /// long as a reset.
    pub close_altered_sessions: bool,
    /// Maximum duration of cleaning a session after a lease was dropped in the middle of a
    /// statement; then the connection is closed. Default: 5 s.
    pub cleanup_timeout: Duration,
    /// Maximum duration of a statement on a handle before its caller gets an error. Default:
    /// `None`, no limit.
    ///
    /// Time spent waiting for the server counts, summed over all rows of a stream; the time between
    /// two rows that the reader of the stream takes does not. The client measures it, so it applies
    /// even if the server hangs or the network loses the response. The error is
    /// [`StatementTimeout`](crate::ErrorKind::StatementTimeout): whether the statement was executed
    /// is unknown. The statement is cancelled in the background. Statements on a lease or in a
    /// transaction are run by sqlx and not covered.
    pub statement_timeout: Option<Duration>,
    /// Maximum idle time of a transaction between two statements before the server terminates it
    /// with its session. Default: 60 s. Zero disables it; `None` keeps the server's configuration.
    ///
    /// A transaction holds a connection of the budget, its locks, and the vacuum horizon of the
    /// whole database. One that waits for a client or for another service holds them for as long as
    /// that takes. The server rolls it back, its next statement fails with
    /// [`IdleInTransaction`](crate::ErrorKind::IdleInTransaction), and the pool opens another
    /// connection.
    ///
    /// Over a Unix socket, the error may be that of a broken connection instead.
    ///
    /// It sets PostgreSQL's `idle_in_transaction_session_timeout`, in whole milliseconds, rounded
    /// up. A tenant's own [setting](crate::TenantRecord::settings) of that name takes precedence,
    /// and so does SQL that sets it, until the connection is returned. It covers tenants and the
    /// shared schema. Migrations, provisioning and seeds have no such limit.
    pub idle_in_transaction_timeout: Option<Duration>,
    /// Whether sessions include their tenant in the `application_name`, so that `pg_stat_activity`
    /// and the server's log distinguish tenants. Default: `false`.
    ///
    /// The name is then `tenantry/<instance>/<tenant>`; otherwise, or while a session is not bound
    /// to a tenant, it is `tenantry/<instance>`. PostgreSQL truncates names to 63 bytes: the
    /// [instance](crate::ManagerBuilder::instance) is truncated to 31 of them, and a tenant's id to
    /// the rest. The name is part of the string that binds a session, so it needs no round trip; it
    /// costs about 10 µs a rebind, up to 4 % of a load that consists only of rebinds.
    pub name_tenants: bool,
    /// Whether a task that holds a connection is refused another one, with
    /// [`NestedAcquire`](crate::ErrorKind::NestedAcquire). Default: `false`. For tests.
    ///
    /// A task that holds a lease, a transaction or a row of a stream and asks for a second
    /// connection waits for itself once every connection is held by such tasks: it works in tests,
    /// and deadlocks the service under load. If enabled, every such acquire fails at once,
    /// including that of a single statement on a handle. In any case, a warning is logged when one
    /// has waited for half a second, and the event [`AcquireTimeout`](crate::event::AcquireTimeout)
    /// mentions it.
    ///
    /// A connection belongs to the task in which it was acquired until it is dropped. Statements
    /// that a task runs concurrently with `join!` do not count. Two leases or transactions held
    /// that way do: spawn them as tasks.
    pub refuse_nested_acquires: bool,
    /// Retry policy for connects. Default: that of [`RetryPolicy`], 3 attempts.
    ///
    /// During a short restart of the server or of a proxy, requests wait instead of failing.
    /// Retries always end at `connect_timeout`. The same policy applies to catalog queries and to
    /// [`TenantDb::ready`](crate::TenantDb::ready), there limited by `acquire_timeout`.
    pub retry: RetryPolicy,
    /// Circuit breaker for connects that fail repeatedly.
    pub breaker: BreakerOptions,
    #[cfg(test)]
    pub(crate) broken: super::broken::Broken,
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
            broken: super::broken::Broken::default(),
        }
    }
}

/// The largest budget: PostgreSQL's own limit of `max_connections`.
const MOST_CONNECTIONS: usize = 262_143;

impl PoolOptions {
    /// Validates the options.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] names the option and the accepted values.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.check_counts()?;
        self.check_durations()?;
        self.check_against_budget()?;
        self.retry.check()?;
        self.breaker.check()
    }

    fn check_counts(&self) -> Result<(), OptionsError> {
        let at_least_one = [
            ("max_connections", self.max_connections),
            ("max_connections_per_tenant", self.max_connections_per_tenant.unwrap_or(1)),
            ("max_waiting_per_tenant", self.max_waiting_per_tenant),
            ("max_tables_per_connection", self.max_tables_per_connection),
            ("max_tenants_per_connection", self.max_tenants_per_connection),
            ("max_tenant_pools", self.max_tenant_pools),
        ];
        match at_least_one.into_iter().find(|(_, value)| *value == 0) {
            Some((option, _)) => Err(OptionsError::new(option, "be at least 1")),
            None => Ok(()),
        }
    }

    fn check_durations(&self) -> Result<(), OptionsError> {
        let must_last = [
            ("acquire_timeout", self.acquire_timeout),
            ("connect_timeout", self.connect_timeout),
            ("cleanup_timeout", self.cleanup_timeout),
            ("tenant_pool_ttl", self.tenant_pool_ttl),
            ("idle_timeout", self.idle_timeout.unwrap_or(Duration::MAX)),
            ("max_lifetime", self.max_lifetime.unwrap_or(Duration::MAX)),
            ("statement_timeout", self.statement_timeout.unwrap_or(Duration::MAX)),
        ];
        match must_last.into_iter().find(|(_, value)| value.is_zero()) {
            Some((option, _)) => Err(OptionsError::new(option, "be longer than zero")),
            None => Ok(()),
        }
    }

    fn check_against_budget(&self) -> Result<(), OptionsError> {
        let budget = self.max_connections;
        let not_above = [
            ("max_connections", budget, MOST_CONNECTIONS),
            ("max_connections_per_tenant", self.max_connections_per_tenant.unwrap_or(1), budget),
            ("reserved_connections", self.reserve(), budget - 1),
            ("min_idle", self.min_idle, budget),
        ];
        match not_above.into_iter().find(|(_, value, most)| value > most) {
            Some((option, value, most)) => {
                let must = format!("be at most {most}, the budget considered, and is {value}");
                Err(OptionsError::new(option, must))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn reserve(&self) -> usize {
        self.reserved_connections.unwrap_or(usize::from(self.max_connections >= 10))
    }

    /// Returns the limits of the scheduler when `outside` connections of the budget are used
    /// elsewhere.
    pub(super) fn limits(&self, outside: usize) -> Limits {
        self.limits_of(self.max_connections, outside)
    }

    /// Returns the same for another number of connections than the configured one.
    pub(super) fn limits_of(&self, connections: usize, outside: usize) -> Limits {
        let budget = connections.saturating_sub(outside).max(1);
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

    /// Returns the limits of a process that may only ask for a part of a shared budget: one
    /// connection, which no tenant gets.
    pub(super) fn limits_to_ask(&self) -> Limits {
        Limits { reserve: 1, min_idle: 0, ..self.limits_of(1, 0) }
    }

    /// Returns the interval of the checks for idle connections and quiet tenants.
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
