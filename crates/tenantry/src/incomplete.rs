//! A report with something left to do, as an error.

use std::{error::Error as StdError, fmt};

/// A run over many tenants after which something is left to do: some failed, or were not started.
///
/// `into_result` of a report makes it, so that `?` does not pass over a failure:
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager, files: tenantry::migrate::Migrations) -> Result<(), tenantry::Error> {
/// let migrator = manager.migrator().tenants(files);
/// let report = migrator.migrate_all(Default::default()).await?.into_result()?;
/// println!("{report}");
/// # Ok(()) }
/// ```
///
/// As text it is one line: the counts, and the first failure. It can hold the database's own words, so it belongs
/// into a log and not into a response. Nothing is lost: the report is in [`report`](Self::report).
pub struct Incomplete<R> {
    report: Box<R>,
    /// The first tenant that failed, and why.
    first: Option<(String, String)>,
}

impl<R: fmt::Display> Incomplete<R> {
    /// `first` is the first tenant that failed, and why.
    pub(crate) fn new(report: R, first: Option<(String, String)>) -> Self {
        Self { report: Box::new(report), first }
    }

    /// Returns the report, with every tenant in it.
    #[must_use]
    pub fn report(&self) -> &R {
        &self.report
    }

    /// Returns the report by value.
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
            // All failures: a `main` that returns it is to say what failed.
            false => fmt::Display::fmt(&self.report, f),
        }
    }
}

impl<R: fmt::Display + fmt::Debug> StdError for Incomplete<R> {}
