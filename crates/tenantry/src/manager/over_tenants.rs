//! Operations over all tenants.

use std::error::Error as StdError;

use futures_util::Stream;
use sqlx::SqlSafeStr;

use super::TenantManager;
use crate::{
    db::TenantDb,
    each::{self, EachOptions, EachReport, Survey},
    error::Error,
    tenant::TenantRecord,
};

impl TenantManager {
    /// Lists all tenants in the catalog, including suspended ones, page by page.
    ///
    /// Use it for fleets that are too large to hold in memory at once: the library's own catalogs
    /// return at most 10,000 tenants per page. It takes a connection to read a page and returns it
    /// before it yields the page's first tenant, so a slow consumer holds none. Tenants that are
    /// created or renamed meanwhile may be missing, and a renamed one may appear twice.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// use futures_util::TryStreamExt;
    ///
    /// let mut tenants = manager.tenants_stream();
    /// while let Some(tenant) = tenants.try_next().await? {
    ///     println!("{}", tenant.id);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the catalog fails, or cannot list tenants. The stream ends with the first error.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing runs unless the stream is polled, and it can be dropped at any time.
    pub fn tenants_stream(
        &self,
    ) -> impl Stream<Item = Result<TenantRecord, Error>> + Send + Unpin + use<> {
        self.fleet().stream()
    }

    /// Runs work with the database of every tenant, a few tenants at a time, and continues after
    /// failures.
    ///
    /// Use it for tasks that need code: read-modify-write, calls to other services, several
    /// statements. Suspended tenants are skipped and reported as such. The report lists every
    /// tenant, with the value or the error of the work. A panic in the work is reported as that
    /// tenant's failure.
    ///
    /// The work acquires connections like the tenant's requests: in the same fair queue, under the
    /// same limits. When the manager [begins to close](Self::closing), no further tenant is
    /// started. All of the work runs in the task that polls the returned future; spawn long
    /// computations inside it.
    ///
    /// The work is an async closure, or a closure that returns a future. It can borrow from its
    /// environment; the returned future is `Send` if those of the work are. The error of the work
    /// is any type that converts into a boxed error: [`sqlx::Error`], [`Error`], `anyhow::Error`, a
    /// `String`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// use tenantry::each::EachOptions;
    ///
    /// let report = manager
    ///     .for_each_tenant(EachOptions::default().concurrency(8), async |db| {
    ///         let purge = "delete from sessions where expires_at < now()";
    ///         let done = sqlx::query(purge).execute(&db).await?;
    ///         Ok::<_, sqlx::Error>(done.rows_affected())
    ///     })
    ///     .await?;
    /// for (tenant, sessions) in report.values() {
    ///     println!("{tenant}: {sessions} sessions purged");
    /// }
    /// if !report.is_success() {
    ///     eprintln!("{report}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) when an option cannot be used,
    /// [`Closed`](crate::ErrorKind::Closed) after [`close`](Self::close), and when the tenants
    /// cannot be listed. Later failures are in the report.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the running work is dropped with it, as when a request is cancelled: open
    /// transactions are rolled back, and connections return to the pool. Tenants that are done stay
    /// done.
    pub async fn for_each_tenant<T, E, F, W>(
        &self,
        options: EachOptions,
        work: F,
    ) -> Result<EachReport<T>, Error>
    where
        F: Fn(TenantDb) -> W,
        W: Future<Output = Result<T, E>>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.listen_once();
        each::for_each(self.fleet(), options, work).await
    }
    /// Runs a query that returns one value per tenant: who has open jobs, how many users there are,
    /// which version of the seed is applied.
    ///
    /// Tenants are queried in batches of up to 128 per message to the server: 500 tenants take a
    /// quarter of the time that they take one by one. The text is one query with one column: `T` is
    /// its type, an `Option` if the value can be null or the query can return no row. A query that
    /// returns several rows fails.
    ///
    /// Every tenant is queried as it is served: in its schema, with its role, and on a session that
    /// was reset. The query runs in a read-only transaction that is rolled back;
    /// [`fan_out`](crate::fan_out#what-the-read-only-mode-does-not-stop) lists what that does not
    /// stop. Tenants with settings, a login or dedicated connections are queried one by one, four
    /// at a time. So are tenants in a batch that failed: one tenant without the table hides no
    /// other result. Suspended tenants are skipped.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// let open = "select exists (select from jobs where done_at is null)";
    /// let report = manager.survey::<bool>(open).await?;
    /// let busy = report.values().filter(|(_, open)| **open).map(|(tenant, _)| tenant);
    /// println!("{:?} have open jobs", busy.collect::<Vec<_>>());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Database`](crate::ErrorKind::Database) with a
    /// [`RefusedStatement`](crate::fan_out::RefusedStatement) as its source when the text is not
    /// one query of one column without parameters, [`Config`](crate::ErrorKind::Config) when an
    /// option cannot be used, and when the tenants cannot be listed or no connection is available.
    /// Later failures are in the report.
    ///
    /// # Cancel safety
    ///
    /// When dropped, running queries are cancelled in the background.
    pub fn survey<T>(&self, query: impl SqlSafeStr) -> Survey<T> {
        Survey::new(self.fleet().clone(), query.into_sql_str())
    }
}
