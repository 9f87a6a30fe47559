//! Errors for runs that left tenants unfinished.

use std::{error::Error as StdError, fmt};

/// A run over many tenants that is incomplete: some tenants failed, or were not started.
///
/// A report's `into_result` returns it, so that `?` does not skip a failure:
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager, files: tenantry::migrate::Migrations) -> Result<(), tenantry::Error> {
/// let migrator = manager.migrator().tenants(files);
/// let report = migrator.migrate_all(Default::default()).await?.into_result()?;
/// println!("{report}");
/// # Ok(()) }
/// ```
///
/// `Display` is one line: the counts and the first failure. It can contain text from the database,
/// so write it to a log and not into a response. The full report is in [`report`](Self::report).
pub struct Incomplete<R> {
    report: Box<R>,
    /// The first tenant that failed, with the cause.
    first: Option<(String, String)>,
}

impl<R: fmt::Display> Incomplete<R> {
    /// `first` is the first tenant that failed, with the cause.
    pub(crate) fn new(report: R, first: Option<(String, String)>) -> Self {
        Self { report: Box::new(report), first }
    }

    /// Returns the report, which lists every tenant.
    #[must_use]
    pub fn report(&self) -> &R {
        &self.report
    }

    /// Consumes the error and returns the report.
    pub fn into_report(self) -> R {
        *self.report
    }
}

impl<R: fmt::Display> fmt::Display for Incomplete<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every report begins with a line of counts.
        let report = self.report.to_string();
        f.write_str(report.lines().next().unwrap_or_default())?;
        let Some((tenant, why)) = &self.first else { return Ok(()) };
        write!(f, "; first {tenant}: {}", why.lines().collect::<Vec<_>>().join("; "))
    }
}

impl<R: fmt::Display + fmt::Debug> fmt::Debug for Incomplete<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.alternate() {
            true => f.debug_tuple("Incomplete").field(&self.report).finish(),
            // All failures, for a `main` that returns this error.
            false => fmt::Display::fmt(&self.report, f),
        }
    }
}

impl<R: fmt::Display + fmt::Debug> StdError for Incomplete<R> {}
