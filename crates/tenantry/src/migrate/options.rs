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

/// How to migrate many tenants.
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
#[must_use = "options do nothing until a migrator gets them"]
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
    pub(super) on_progress: Option<Arc<OnProgress>>,
    pub(super) stop: Option<Shared<BoxFuture<'static, ()>>>,
}

type OnProgress = dyn Fn(&Progress<'_>) + Send + Sync;

/// What a tenant that fails means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnFailure {
    /// Nothing: they are migrated.
    #[default]
    Continue,
    /// No further one is begun; those that are under way are brought to their end.
    Abort,
}

/// What to do about a tenant that somebody else is migrating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenLocked {
    /// See to the others first, then wait until it is free and do what is left to do.
    #[default]
    Wait,
    /// Leave it alone, and say so.
    Skip,
}

/// How many files share a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TransactionPer {
    /// Each file has one of its own: what was applied before a failure stays.
    #[default]
    File,
    /// All that are pending in a tenant have one together: all of them are applied or none. A file that
    /// cannot be in a transaction still is by itself, and what comes before it is committed first.
    Tenant,
}

/// What to do about a tenant's schema that holds tables and no migration records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WithoutRecords {
    /// Run nothing in it, and report it.
    #[default]
    Refuse,
    /// Run the files over what is there, from the first one on.
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
            on_progress: None,
            stop: None,
        }
    }
}

impl MigrateOptions {
    /// Sets how many tenants are migrated at a time, from 1 on. Default: 8.
    ///
    /// Each takes one connection of the [budget](crate::PoolOptions::max_connections), so the budget is
    /// the limit, and requests are served with what is left. Those that wait for a connection have their
    /// turn between two tenants.
    pub fn concurrency(mut self, tenants: usize) -> Self {
        self.concurrency = tenants;
        self
    }

    /// Sets what a tenant that fails means for the others. Default: nothing.
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// Begins no further tenant once more than so many have failed. Default: no limit.
    pub fn error_budget(mut self, failures: usize) -> Self {
        self.error_budget = Some(failures);
        self
    }

    /// Migrates these tenants before all others, and none of the others unless all of these succeed.
    pub fn canary<I>(mut self, tenants: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.canary = tenants.into_iter().map(Into::into).collect();
        self
    }

    /// Migrates in waves of so many tenants, from 1 on: each begins when the one before has ended within
    /// the [error budget](Self::error_budget). Default: one wave.
    pub fn wave(mut self, tenants: usize) -> Self {
        self.wave = Some(tenants);
        self
    }

    /// Sets what to do about a tenant that somebody else is migrating. Default: wait.
    ///
    /// A run over all tenants that waits lets another one that is under way end first, for up to 30 s, and then
    /// works beside it.
    pub fn when_locked(mut self, when_locked: WhenLocked) -> Self {
        self.when_locked = when_locked;
        self
    }

    /// Sets how long a statement may wait for a lock. Default: 2 s.
    ///
    /// Short, because everything that comes to a table waits behind a migration that waits for it. What
    /// was refused is [tried again](Self::retry).
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Sets how long a statement may wait for other transactions while nobody has to wait for it. Default: 1 h.
    ///
    /// It is the [lock timeout](Self::lock_timeout) of `create index concurrently`, `drop index concurrently`,
    /// `reindex … concurrently` and `refresh materialized view concurrently` in files outside a transaction. They
    /// wait until every transaction has ended that is older, such as a report or a backup, and reads and
    /// writes go on meanwhile. What has waited for so long has failed, and the next run tries it again. A
    /// `set lock_timeout` in the file itself goes before.
    pub fn concurrent_timeout(mut self, timeout: Duration) -> Self {
        self.concurrent_timeout = timeout;
        self
    }

    /// Sets how long a statement of a file may take. Default: as long as it takes.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = Some(timeout);
        self
    }

    /// Sets how often a tenant is tried again after a lock that was not to be had, a deadlock, a race with
    /// another session on a shared object, a connection that was lost or could not be had. Default: 5 attempts,
    /// from 250 ms on.
    ///
    /// After a deadlock or a race it is tried again after the other tenants, and the second time while no other
    /// tenant of the run is being migrated.
    ///
    /// Nothing is applied twice by that: each attempt begins by looking what is recorded.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets how many files share a transaction. Default: each has its own.
    pub fn transaction(mut self, per: TransactionPer) -> Self {
        self.transaction = per;
        self
    }

    /// Applies files up to this version. Default: all.
    pub fn to(mut self, version: i64) -> Self {
        self.to = Some(version);
        self
    }

    /// Applies files although later ones were applied before, as two branches of a project can bring
    /// about. Default: `false`.
    pub fn allow_out_of_order(mut self, allow: bool) -> Self {
        self.allow_out_of_order = allow;
        self
    }

    /// Migrates although versions were applied that have no file. Default: `false`.
    pub fn ignore_missing(mut self, ignore: bool) -> Self {
        self.ignore_missing = ignore;
        self
    }

    /// Sets what to do about a tenant's schema that holds tables and no migration records. Default: refuse.
    ///
    /// Such a schema was filled by another tool, or is not a tenant's: the first file would fail half-way, or add
    /// its tables to somebody else's. It has [failed](super::FailureReason::NeedsBaseline) until
    /// [`TenantMigrator::baseline`](super::TenantMigrator::baseline) records what it has. One that
    /// [`SchemaDiscovery`](crate::SchemaDiscovery) found by its name, while other tenants have records, is reported
    /// as [doubtful](super::Outcome::Doubtful) by a run over all tenants, and does not fail the run.
    ///
    /// Set [`Migrate`](WithoutRecords::Migrate) where the first files can run over existing tables, such as
    /// `create table if not exists`. A schema without tables is migrated in either case, and so is the shared one.
    pub fn without_records(mut self, without_records: WithoutRecords) -> Self {
        self.without_records = without_records;
        self
    }

    /// Calls a closure whenever a tenant begins, a file is done, and a tenant ends.
    ///
    /// It runs between the tenants, so it should be quick. A panic in it is logged and changes nothing.
    pub fn on_progress(mut self, progress: impl Fn(&Progress<'_>) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(progress));
        self
    }

    /// Begins no further tenant once this future ends, such as one that waits for SIGINT. What is under
    /// way is brought to its end, and the rest is reported as not started.
    pub fn stop_when(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Some(signal.boxed().shared());
        self
    }

    /// Options for a schema that somebody waits for: whatever waits for a lock or for other transactions is given
    /// up after five times this long.
    pub(crate) fn within(lock_timeout: Duration) -> Self {
        let concurrent_timeout = lock_timeout.saturating_mul(5);
        Self { lock_timeout, concurrent_timeout, ..Self::default() }
    }

    /// Says whether the run was told to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.clone().is_some_and(|stop| stop.now_or_never().is_some())
    }

    /// Returns those for tenants that are migrated in passing: beside requests, and heard of by nobody.
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
                wrong("lock_timeout", "be longer than zero, which would wait for ever")
            }
            Self { concurrent_timeout: Duration::ZERO, .. } => {
                wrong("concurrent_timeout", "be longer than zero, which would wait for ever")
            }
            Self { statement_timeout: Some(Duration::ZERO), .. } => {
                wrong("statement_timeout", "be longer than zero, which would be no limit")
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
