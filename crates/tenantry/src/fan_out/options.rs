use std::{fmt, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use crate::error::{Error, ErrorKind, OptionsError};

/// Options for a statement over many tenants.
///
/// # Examples
///
/// See [`FanOut`](super::FanOut).
#[derive(Clone)]
#[must_use = "options do nothing until a run gets them"]
pub struct FanOutOptions {
    pub(super) mode: FanOutMode,
    pub(super) with_shared: bool,
    pub(super) concurrency: usize,
    pub(super) max_failures: Option<usize>,
    pub(super) statement_timeout: Duration,
    pub(super) lock_timeout: Duration,
    pub(super) stop: Option<Shared<BoxFuture<'static, ()>>>,
}

/// What a statement may do, and the transaction around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum FanOutMode {
    /// It runs in a read-only transaction that is rolled back. This does not prevent
    /// [every side effect](super).
    #[default]
    ReadOnly,
    /// It runs in a transaction per tenant, which is committed once the statement has succeeded and
    /// its rows are delivered.
    Write,
    /// It runs without a transaction around it, as `vacuum`, `reindex … concurrently` and
    /// `create index concurrently` require. Effects before a failure may persist.
    WriteOutsideTransaction,
}

impl Default for FanOutOptions {
    fn default() -> Self {
        Self {
            mode: FanOutMode::default(),
            with_shared: false,
            concurrency: 8,
            max_failures: None,
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(5),
            stop: None,
        }
    }
}

impl FanOutOptions {
    /// Sets what the statement may do. Default: [`FanOutMode::ReadOnly`].
    pub fn mode(mut self, mode: FanOutMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets whether the statement also runs in the shared schema, which comes first. Default: `false`.
    pub fn with_shared(mut self, with: bool) -> Self {
        self.with_shared = with;
        self
    }

    /// Sets on how many tenants the statement runs concurrently, at least 1. Default: 8. The
    /// connection budget is the limit.
    pub fn concurrency(mut self, tenants: usize) -> Self {
        self.concurrency = tenants;
        self
    }

    /// Sets the number of failed tenants after which no further one is started, at least 1.
    /// Default: all tenants are tried.
    ///
    /// Tenants that are already running are completed, and may fail, too.
    pub fn max_failures(mut self, tenants: usize) -> Self {
        self.max_failures = Some(tenants);
        self
    }

    /// Sets how long the statement may take on one tenant. Default: 30 s.
    ///
    /// It sets PostgreSQL's `statement_timeout`, in whole milliseconds, rounded up. The server
    /// counts until the last row is sent, so the time in which a slow consumer holds back the rows
    /// counts as well.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout;
        self
    }

    /// Sets how long the statement may wait for each lock. Default: 5 s.
    ///
    /// Statements of the application queue behind one that waits for a lock.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Starts no further tenant once this future completes, such as one that waits for SIGINT.
    /// Running tenants are completed, and the rest are reported as not started.
    pub fn stop_when(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Some(signal.boxed().shared());
        self
    }

    /// Validates the options.
    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = |option, must: &str| {
            let wrong = OptionsError::new(option, must);
            let attempted = format!("running a statement over tenants: {wrong}");
            Err(Error::new(ErrorKind::Config, attempted).with_source(wrong))
        };
        match self {
            Self { concurrency: 0, .. } => wrong("concurrency", "be at least 1"),
            Self { max_failures: Some(0), .. } => wrong("max_failures", "be at least 1"),
            Self { statement_timeout: Duration::ZERO, .. } => {
                wrong("statement_timeout", "be longer than zero, which would be no limit")
            }
            Self { lock_timeout: Duration::ZERO, .. } => {
                wrong("lock_timeout", "be longer than zero, which would be no limit")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for FanOutOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FanOutOptions")
            .field("mode", &self.mode)
            .field("with_shared", &self.with_shared)
            .field("concurrency", &self.concurrency)
            .field("max_failures", &self.max_failures)
            .field("statement_timeout", &self.statement_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .finish_non_exhaustive()
    }
}
