use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use super::{Progress, plan::Leniency};
use crate::{
    error::{Error, ErrorKind, OptionsError},
    retry::RetryPolicy,
};

/// Options for a migration run.
///
/// # Examples
///
/// ```no_run
/// # async fn example(migrator: tenantry::migrate::TenantMigrator) -> Result<(), tenantry::Error> {
/// use tenantry::migrate::{MigrateOptions, OnFailure};
///
/// let options = MigrateOptions::default()
///     .concurrency(4)
///     .canary(["internal", "demo"])
///     .wave(500)
///     .on_failure(OnFailure::Abort)
///     .on_progress(|progress| eprintln!("{progress}"))
///     .stop_when(async { drop(tokio::signal::ctrl_c().await) });
/// let report = migrator.migrate_all(options).await?;
/// println!("{report}");
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until they are passed to a migrator"]
pub struct MigrateOptions {
    pub(super) concurrency: usize,
    pub(super) on_failure: OnFailure,
    pub(super) error_budget: Option<usize>,
    pub(super) canary: BTreeSet<String>,
    pub(super) wave: Option<usize>,
    pub(super) when_locked: WhenLocked,
    pub(super) lock_timeout: Duration,
    pub(super) concurrent_timeout: Duration,
    pub(super) statement_timeout: Option<Duration>,
    pub(super) retry: RetryPolicy,
    pub(super) transaction: TransactionPer,
    pub(crate) to: Option<i64>,
    pub(super) allow_out_of_order: bool,
    pub(super) ignore_missing: bool,
    pub(super) without_records: WithoutRecords,
    pub(super) verify: bool,
    pub(super) on_progress: Option<Arc<OnProgress>>,
    pub(super) stop: Option<Shared<BoxFuture<'static, ()>>>,
}

type OnProgress = dyn Fn(&Progress<'_>) + Send + Sync;

/// How the failure of a tenant affects the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnFailure {
    /// The other tenants are migrated.
    #[default]
    Continue,
    /// No further tenant is started; those in progress are completed.
    Abort,
}

/// How to treat a tenant that another run has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenLocked {
    /// Migrate the other tenants first, then wait for the lock and apply what is left.
    #[default]
    Wait,
    /// Skip the tenant and report it.
    Skip,
}

/// How files are grouped into transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TransactionPer {
    /// One transaction per file: files applied before a failure stay applied.
    #[default]
    File,
    /// One transaction for all pending files of a tenant: all of them are applied or none. A file that cannot run in
    /// a transaction runs separately, after the files before it are committed.
    Tenant,
}

/// How to treat a tenant's schema that holds tables but no migration records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WithoutRecords {
    /// Run nothing in it, and report it.
    #[default]
    Refuse,
    /// Run the files over the existing tables, starting with the first.
    Migrate,
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self {
            concurrency: 8,
            on_failure: OnFailure::default(),
            error_budget: None,
            canary: BTreeSet::new(),
            wave: None,
            when_locked: WhenLocked::default(),
            lock_timeout: Duration::from_secs(2),
            concurrent_timeout: Duration::from_secs(3600),
            statement_timeout: None,
            retry: RetryPolicy::default().max_attempts(5).initial_delay(Duration::from_millis(250)),
            transaction: TransactionPer::default(),
            to: None,
            allow_out_of_order: false,
            ignore_missing: false,
            without_records: WithoutRecords::default(),
            verify: false,
            on_progress: None,
            stop: None,
        }
    }
}

impl MigrateOptions {
    /// Sets how many tenants are migrated concurrently. Minimum: 1. Default: 8.
    ///
    /// Each takes one connection of the [budget](crate::PoolOptions::max_connections), so the budget is the limit,
    /// and requests are served with the rest. Requests that wait for a connection get their turn between two tenants.
    pub fn concurrency(mut self, tenants: usize) -> Self {
        self.concurrency = tenants;
        self
    }

    /// Sets how the failure of a tenant affects the others. Default: [`Continue`](OnFailure::Continue).
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// Stops starting tenants once more than this number have failed. Default: no limit.
    pub fn error_budget(mut self, failures: usize) -> Self {
        self.error_budget = Some(failures);
        self
    }

    /// Migrates these tenants first. The others are not started unless all of these succeed.
    pub fn canary<I>(mut self, tenants: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.canary = tenants.into_iter().map(Into::into).collect();
        self
    }

    /// Migrates in waves of this many tenants (minimum 1). A wave starts when the previous one has ended within the
    /// [error budget](Self::error_budget). Default: a single wave.
    pub fn wave(mut self, tenants: usize) -> Self {
        self.wave = Some(tenants);
        self
    }

    /// Sets how to treat a tenant that another run has locked. Default: [`Wait`](WhenLocked::Wait).
    ///
    /// With `Wait`, a run over all tenants first waits up to 30 s for another such run to end, and then works
    /// alongside it.
    pub fn when_locked(mut self, when_locked: WhenLocked) -> Self {
        self.when_locked = when_locked;
        self
    }

    /// Sets the lock timeout of statements. Default: 2 s.
    ///
    /// It is short because later statements queue behind the migration's lock request. A statement that times out is
    /// [retried](Self::retry).
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Sets the lock timeout of statements that wait for other transactions without blocking them. Default: 1 h.
    ///
    /// This is the [lock timeout](Self::lock_timeout) of `create index concurrently`, `drop index concurrently`,
    /// `reindex … concurrently` and `refresh materialized view concurrently` in files outside a transaction. These
    /// statements wait until every older transaction has ended, such as a report or a backup, while reads and writes
    /// continue. A statement that times out has failed, and the next run retries it. A `set lock_timeout` in the file
    /// takes precedence.
    pub fn concurrent_timeout(mut self, timeout: Duration) -> Self {
        self.concurrent_timeout = timeout;
        self
    }

    /// Sets the statement timeout for the files. Default: none.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = Some(timeout);
        self
    }

    /// Sets how often a tenant is retried after a lock timeout, a deadlock, a race with another session on a shared
    /// object, a lost connection, or a failed connect. Default: 5 attempts, starting with a delay of 250 ms.
    ///
    /// After a deadlock or a race, the tenant is retried after the other tenants; the second time, no other tenant of
    /// the run is migrated at the same time.
    ///
    /// Nothing is applied twice: each attempt re-reads the migration records first.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets how files are grouped into transactions. Default: one transaction per file.
    pub fn transaction(mut self, per: TransactionPer) -> Self {
        self.transaction = per;
        self
    }

    /// Applies files up to and including this version. Default: all.
    pub fn to(mut self, version: i64) -> Self {
        self.to = Some(version);
        self
    }

    /// Applies files even if later ones were applied before, which happens when branches are merged. Default:
    /// `false`.
    pub fn allow_out_of_order(mut self, allow: bool) -> Self {
        self.allow_out_of_order = allow;
        self
    }

    /// Migrates even if applied versions have no file. Default: `false`.
    pub fn ignore_missing(mut self, ignore: bool) -> Self {
        self.ignore_missing = ignore;
        self
    }

    /// Sets how to treat a tenant's schema that holds tables but no migration records. Default:
    /// [`Refuse`](WithoutRecords::Refuse).
    ///
    /// Such a schema was filled by another tool or does not belong to a tenant: the first file would fail half-way,
    /// or add its tables to a foreign schema. It is reported as [failed](super::FailureReason::NeedsBaseline) until
    /// [`TenantMigrator::baseline`](super::TenantMigrator::baseline) records its contents. If
    /// [`SchemaDiscovery`](crate::SchemaDiscovery) found it by its name while other tenants have records, a run over
    /// all tenants reports it as [doubtful](super::Outcome::Doubtful) and does not fail.
    ///
    /// Set [`Migrate`](WithoutRecords::Migrate) if the first files can run over existing tables, such as
    /// `create table if not exists`. A schema without tables is always migrated, and so is the shared one.
    pub fn without_records(mut self, without_records: WithoutRecords) -> Self {
        self.without_records = without_records;
        self
    }

    /// Looks at the migration records of every tenant in [`migrate_all`](super::TenantMigrator::migrate_all). Default:
    /// false.
    ///
    /// Otherwise a run trusts what earlier runs have remembered in the table `tenantry_migrated` of the shared schema,
    /// for tenants that had exactly these files and whose schema is still the same, and looks at the other tenants and
    /// at a sample of 100. Set it after records were changed by hand, or a tenant's own database was restored in place
    /// from a backup.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Calls a closure whenever a tenant starts, a file is done, and a tenant ends.
    ///
    /// It runs between the tenants, so it should be quick. A panic in it is logged and otherwise ignored.
    pub fn on_progress(mut self, progress: impl Fn(&Progress<'_>) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(progress));
        self
    }

    /// Stops starting tenants once this future resolves, for example on SIGINT. Tenants in progress are completed,
    /// and the rest is reported as not started.
    pub fn stop_when(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Some(signal.boxed().shared());
        self
    }

    /// Options for a schema that a caller waits for: waiting for locks or for other transactions is limited to five
    /// times this duration.
    pub(crate) fn within(lock_timeout: Duration) -> Self {
        let concurrent_timeout = lock_timeout.saturating_mul(5);
        Self { lock_timeout, concurrent_timeout, ..Self::default() }
    }

    /// Returns `true` if the run was told to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.clone().is_some_and(|stop| stop.now_or_never().is_some())
    }

    /// Returns options for migrations in the background: alongside requests, and without progress reports.
    pub(super) fn in_background(self) -> Self {
        let defaults = Self::default();
        Self {
            concurrency: 1,
            on_failure: defaults.on_failure,
            error_budget: None,
            canary: defaults.canary,
            wave: None,
            on_progress: None,
            stop: None,
            ..self
        }
    }

    pub(super) fn leniency(&self) -> Leniency {
        Leniency { out_of_order: self.allow_out_of_order, missing: self.ignore_missing }
    }

    /// Checks that the options do not contradict each other.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |option, must: &str| Err(OptionsError::new(option, must));
        let checked = match self {
            Self { concurrency: 0, .. } => wrong("concurrency", "be at least 1"),
            Self { wave: Some(0), .. } => wrong("wave", "be at least 1"),
            Self { lock_timeout: Duration::ZERO, .. } => {
                wrong("lock_timeout", "be greater than zero, which would wait forever")
            }
            Self { concurrent_timeout: Duration::ZERO, .. } => {
                wrong("concurrent_timeout", "be greater than zero, which would wait forever")
            }
            Self { statement_timeout: Some(Duration::ZERO), .. } => {
                wrong("statement_timeout", "be greater than zero, which would mean no limit")
            }
            Self { retry, .. } => retry.check(),
        };
        checked.map_err(|error| {
            Error::new(ErrorKind::Config, format!("migrating: {error}")).with_source(error)
        })
    }
}

impl fmt::Debug for MigrateOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MigrateOptions")
            .field("concurrency", &self.concurrency)
            .field("on_failure", &self.on_failure)
            .field("canary", &self.canary)
            .field("wave", &self.wave)
            .field("lock_timeout", &self.lock_timeout)
            .finish_non_exhaustive()
    }
}
