//! Verification of the tables that hold the rows of all tenants.

use super::TenantManager;
use crate::{
    error::Error,
    rows::{self, RowsReport},
};

impl TenantManager {
    /// Verifies that nothing goes around the policies of the tables that hold the rows of all
    /// tenants, with [`Isolation::row`](crate::Isolation::row).
    ///
    /// Reads the system catalogs in one statement for all tables: columns, policies, keys, indexes,
    /// partitions, views, functions, privileges, and the roles that sessions of tenants have or can
    /// become. Then it asks the server, as the role of these sessions, whether policies apply
    /// ([`row_security_active`](https://www.postgresql.org/docs/current/functions-info.html)). If
    /// records of tenants can name roles, if dedicated tenants have logins, or if there are further
    /// [servers](crate::ManagerBuilder::server), it lists the tenants. Then it also verifies these
    /// logins, and the tables of each server that has a tenant in them. A further server that does not
    /// answer is a finding.
    ///
    /// Call it in tests, after migrations, and when a service starts:
    /// [`refuse_unsafe_rows`](Self::refuse_unsafe_rows) does the latter. The doctor's check `rows`
    /// contains its findings. It reads no data of a tenant, and does not attack:
    /// [`prove_isolation`](Self::prove_isolation) does that.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// let report = manager.verify_rows().await?;
    /// assert_eq!(report.findings, [], "{report}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the catalog cannot list the tenants, or a query fails. What it finds is not an error.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn verify_rows(&self) -> Result<RowsReport, Error> {
        rows::verify(self.fleet()).await
    }

    /// Fails if a tenant can reach the rows of another one, according to
    /// [`verify_rows`](Self::verify_rows). Call it when a service starts, after its migrations and
    /// before its first request.
    ///
    /// Warnings and informational findings are in the report that it returns.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use tenantry::{Isolation, Rows, TableCatalog, TenantManager};
    ///
    /// let rows = Rows::new().role("app")?.shared_tables(["tenants", "plans"])?;
    /// let manager = TenantManager::builder("postgres://service@localhost/saas")
    ///     .isolation(Isolation::rows(rows))
    ///     .catalog(TableCatalog::new())
    ///     .build()?;
    /// manager.refuse_unsafe_rows().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) when there is a finding of
    /// [`Severity::Error`](crate::doctor::Severity::Error). The source is
    /// [`UnsafeRows`](crate::rows::UnsafeRows), whose message has a sentence for each of them, with
    /// what to do. Otherwise the errors of `verify_rows`.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn refuse_unsafe_rows(&self) -> Result<RowsReport, Error> {
        Ok(self.verify_rows().await?.into_result()?)
    }
}
