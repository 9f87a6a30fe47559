use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use super::{Check, DoctorReport, Examined, FixReport, Severity, built_in, fix, run};
use crate::{manager::TenantManager, migrate::Migrations};

/// Checks the configuration, the server and the tenants' schemas for mistakes.
///
/// Created by [`TenantManager::doctor`]. It takes its connections from the manager's budget, and its checks only
/// read.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) -> Result<(), Box<dyn std::error::Error>> {
/// use tenantry::migrate::Migrations;
///
/// let doctor = manager
///     .doctor()
///     .tenants(Migrations::from_dir("migrations/tenants")?)
///     .instances(4)
///     .skip(["versionEndOfLife"]);
/// let report = doctor.run().await?;
/// println!("{report}");
/// if !report.success {
///     std::process::exit(1);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "it does nothing until it is run"]
pub struct Doctor {
    pub(super) manager: TenantManager,
    pub(super) tenants: Option<Migrations>,
    pub(super) shared: Option<Migrations>,
    /// Results that were given by the caller, by the names of checks.
    pub(super) given: BTreeMap<String, Examined>,
    pub(super) instances: usize,
    pub(super) checks: Vec<Arc<dyn Check>>,
    pub(super) only: Option<Vec<String>>,
    pub(super) skip: Vec<String>,
    pub(super) severities: BTreeMap<String, Severity>,
    pub(super) check_timeout: Duration,
    pub(super) databases: usize,
}

/// There is no check with this name.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("no check is named {}; the checks are {}", .unknown.join(", "), .known.join(", "))]
#[non_exhaustive]
pub struct UnknownCheck {
    /// The unknown names.
    pub unknown: Vec<String>,
    /// The names of all checks.
    pub known: Vec<String>,
}

crate::error_report::readable_debug!(UnknownCheck);

impl Doctor {
    pub(super) fn new(manager: TenantManager) -> Self {
        Self {
            manager,
            tenants: None,
            shared: None,
            given: BTreeMap::new(),
            instances: 1,
            checks: built_in(),
            only: None,
            skip: Vec::new(),
            severities: BTreeMap::new(),
            check_timeout: Duration::from_secs(30),
            databases: 50,
        }
    }

    /// Sets the migrations of the tenants' schemas. Default: none, and the check `migrations` is skipped.
    pub fn tenants(mut self, migrations: Migrations) -> Self {
        self.tenants = Some(migrations);
        self
    }

    /// Sets the migrations of the shared schema. Default: none, and the check `sharedMigrations` is skipped.
    pub fn shared(mut self, migrations: Migrations) -> Self {
        self.shared = Some(migrations);
        self
    }

    /// Sets what is known about the configuration: the check `configuration`. By default, it reports that the manager
    /// was configured in the program.
    pub fn configuration(self, examined: Examined) -> Self {
        self.result("configuration", examined)
    }

    /// Reports the tenants' migrations as broken: for example a folder that cannot be read, with its path and the
    /// reason.
    pub fn tenants_problem(self, problem: impl Into<String>) -> Self {
        self.result("migrations", Examined::error(problem))
    }

    /// Reports the shared schema's migrations as broken: for example a folder that cannot be read, with its path and
    /// the reason.
    pub fn shared_problem(self, problem: impl Into<String>) -> Self {
        self.result("sharedMigrations", Examined::error(problem))
    }

    /// Sets the result of a check that the caller has performed; the check of this name is not run.
    pub fn result(mut self, check: impl Into<String>, examined: Examined) -> Self {
        self.given.insert(check.into(), examined);
        self
    }

    /// Sets how many processes share the server, each with the same budget as this manager. Default: 1.
    pub fn instances(mut self, instances: usize) -> Self {
        self.instances = instances.max(1);
        self
    }

    /// Adds a check. It replaces an existing check of the same name.
    pub fn check(mut self, check: impl Check) -> Self {
        let check: Arc<dyn Check> = Arc::new(check);
        match self.checks.iter_mut().find(|known| known.name() == check.name()) {
            Some(known) => *known = check,
            None => self.checks.push(check),
        }
        self
    }

    /// Runs only the checks with these names. Default: all. Further calls add to them.
    pub fn only<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.only.get_or_insert_default().extend(names.into_iter().map(Into::into));
        self
    }

    /// Skips the checks with these names, even if [`only`](Self::only) names them.
    pub fn skip<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.skip.extend(names.into_iter().map(Into::into));
        self
    }

    /// Reports every warning and every error of a check with this severity. Findings of [`Severity::Info`] are
    /// unchanged.
    pub fn severity(mut self, check: impl Into<String>, severity: Severity) -> Self {
        self.severities.insert(check.into(), severity);
        self
    }

    /// Sets the timeout of each check. Default: 30 s. A check that takes longer is reported as
    /// [`Unknown`](super::CheckStatus::Unknown).
    pub fn check_timeout(mut self, timeout: Duration) -> Self {
        self.check_timeout = timeout;
        self
    }

    /// Sets how many tenants' databases of each server the checks of tenants examine, besides the database in its URL.
    /// Default: 50. If there are more, each run examines others, and the check `databases` says how many were left out.
    ///
    /// At most four databases of a server are examined at a time by each check, within the budget of the server.
    pub fn databases(mut self, most: usize) -> Self {
        self.databases = most;
        self
    }

    /// Returns the names and titles of all checks, in the order of the report.
    pub fn checks(&self) -> impl Iterator<Item = (&str, &str)> {
        self.checks.iter().map(|check| (check.name(), check.title()))
    }

    /// Runs the checks, at most three at once, and reports on each.
    ///
    /// If the database cannot be reached, the report is available after the [connect
    /// timeout](crate::PoolOptions::connect_timeout), and checks that need the database are
    /// [skipped](super::CheckStatus::Skipped).
    ///
    /// # Errors
    ///
    /// [`UnknownCheck`] if [`only`](Self::only), [`skip`](Self::skip), [`severity`](Self::severity) or
    /// [`result`](Self::result) names a check that does not exist. Everything else is in the report.
    ///
    /// # Cancel safety
    ///
    /// Safe: checks only read.
    pub async fn run(&self) -> Result<DoctorReport, UnknownCheck> {
        self.check_names()?;
        Ok(run::run(self).await)
    }

    /// Runs the statements of the findings that are [harmless](super::Finding::harmless), one after the other on a
    /// maintenance connection, each outside a transaction and with a lock timeout of 5 s, and reports on each.
    ///
    /// If a statement fails, the statements of other findings are still run.
    ///
    /// # Cancel safety
    ///
    /// If dropped, completed statements stay done, and the running one is cancelled.
    pub async fn fix(&self, report: &DoctorReport) -> FixReport {
        fix::fix(self.manager.fleet(), report).await
    }

    /// Returns `true` if the check is to be run.
    pub(super) fn selects(&self, name: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|other| other == name);
        self.only.as_deref().is_none_or(named) && !named(&self.skip)
    }

    fn check_names(&self) -> Result<(), UnknownCheck> {
        let named = (self.only.iter().flatten()).chain(&self.skip);
        let named = named.chain(self.severities.keys()).chain(self.given.keys());
        let is_unknown = |name: &&String| !self.checks().any(|(known, _)| known == name.as_str());
        let mut unknown: Vec<_> = named.filter(is_unknown).cloned().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        unknown.sort_unstable();
        unknown.dedup();
        Err(UnknownCheck {
            unknown,
            known: self.checks().map(|(name, _)| name.to_owned()).collect(),
        })
    }
}

impl fmt::Debug for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks: Vec<_> = self.checks().map(|(name, _)| name).collect();
        f.debug_struct("Doctor").field("checks", &checks).finish_non_exhaustive()
    }
}
