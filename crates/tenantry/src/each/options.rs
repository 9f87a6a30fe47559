use std::{fmt, sync::Arc};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use crate::error::{Error, ErrorKind, OptionsError};

/// Options for work over many tenants.
///
/// # Examples
///
/// See [`TenantManager::for_each_tenant`](crate::TenantManager::for_each_tenant).
#[derive(Clone)]
#[must_use = "options do nothing until a run gets them"]
pub struct EachOptions {
    pub(crate) only: Option<Vec<Arc<str>>>,
    pub(crate) concurrency: usize,
    pub(crate) max_failures: Option<usize>,
    pub(super) stop: Option<Shared<BoxFuture<'static, ()>>>,
}

impl Default for EachOptions {
    fn default() -> Self {
        Self { only: None, concurrency: 4, max_failures: None, stop: None }
    }
}

impl EachOptions {
    /// Works only on these tenants, in this order; duplicates are ignored. Default: all tenants
    /// that the catalog lists.
    ///
    /// An unknown or invalid id is a failure in the report.
    pub fn only<I>(mut self, tenants: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.only = Some(tenants.into_iter().map(|tenant| tenant.as_ref().into()).collect());
        self
    }

    /// Sets how many tenants are processed concurrently, at least 1. Default: 4, so that requests
    /// keep most of the budget. The connection budget is the limit.
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

    /// Starts no further tenant once this future completes, such as one that waits for SIGINT.
    /// Running tenants are completed, and the rest are reported as not started.
    ///
    /// Without it, the run stops in the same way when the manager
    /// [begins to close](crate::TenantManager::closing).
    pub fn stop_when(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Some(signal.boxed().shared());
        self
    }

    /// Validates the options. The caller says what it does, and by which name it offers the concurrency.
    pub(crate) fn check(&self, doing: &str, concurrency: &'static str) -> Result<(), Error> {
        let wrong = |option| {
            let wrong = OptionsError::new(option, "be at least 1");
            let attempted = format!("{doing}: {wrong}");
            Err(Error::new(ErrorKind::Config, attempted).with_source(wrong))
        };
        match self {
            Self { concurrency: 0, .. } => wrong(concurrency),
            Self { max_failures: Some(0), .. } => wrong("max_failures"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for EachOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EachOptions")
            .field("only", &self.only)
            .field("concurrency", &self.concurrency)
            .field("max_failures", &self.max_failures)
            .finish_non_exhaustive()
    }
}
