//! The manager: turns a tenant id into a database handle that can only see that tenant.

mod behind_pooler;
mod builder;
mod instance;
mod over_tenants;
mod overrides;
mod parameters;
mod replica_options;
mod replicas;
mod rows;
mod server_options;
mod upkeep_url;
mod url;

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::future::{BoxFuture, join_all};
use sqlx::postgres::PgConnectOptions;
#[cfg(feature = "ops")]
use tokio::task::JoinHandle;
#[cfg(feature = "serve")]
use tokio_util::task::TaskTracker;

pub use builder::{ConfigError, ManagerBuilder};
pub use replica_options::ReplicaOptions;
pub use server_options::ServerOptions;
pub use url::{UrlError, url_parameters};

use crate::{
    activity::{self, Activity, ActivityOptions, SizeMethod, TenantSizes},
    archive::Archiver,
    budget,
    catalog::listen,
    db::{SharedDb, TenantDb},
    drift::Drift,
    error::{Error, OptionsError},
    event::EvictReason,
    fan_out::FanOut,
    fleet::Fleet,
    health::{self, Checks, HealthOptions, HealthReport, Subject, UnreachableExtension},
    metrics::{Metrics, UpkeepMetrics},
    migrate::{MigrateOptions, Migrations, TenantMigrator},
    moves::Mover,
    pool::{Detail, OccupantId, PoolSnapshot, Server},
    proof::{self, IsolationProof, ProofOptions},
    provision::Provisioner,
    seed::Seeder,
    servers::Servers,
    tenant::{MAIN, ParseTenantIdError, Placement, TenantId, TenantRecord},
    warmup::{self, WarmUp, WarmUpReport},
};

/// Default time for which [`TenantManager::close`] waits for leases.
const PATIENCE: Duration = Duration::from_secs(30);

/// Turns a tenant id into a database handle that can only see that tenant.
///
/// One manager serves all tenants of one PostgreSQL server from one bounded pool of connections. It
/// is cheap to clone; all clones share one state. Keep it for the lifetime of the program and
/// [`close`](Self::close) it at the end.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tenantry::{Isolation, SchemaDiscovery, TenantManager};
///
/// let manager = TenantManager::builder("postgres://app@localhost/saas")
///     .isolation(Isolation::schema("tenant_{id}"))
///     .catalog(SchemaDiscovery::default())
///     .max_connections(20)
///     .build()?;
///
/// let db = manager.tenant("acme").await?;
/// let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&db).await?;
///
/// manager.close().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TenantManager(Arc<Inner>);

struct Inner {
    fleet: Fleet,
    checks: Arc<Checks>,
    /// Serializes warm-ups: two at once would wait for each other's connections.
    warming: tokio::sync::Mutex<()>,
    /// Servers that have not drained yet: the last one closes the manager.
    #[cfg(feature = "serve")]
    serving: TaskTracker,
}

impl TenantManager {
    /// Starts configuring a manager for the server at this URL.
    ///
    /// The URL has the form `postgres://user:password@host:port/database?sslmode=verify-full`, with
    /// the parameters of libpq. User, password and database are percent-encoded: `p/w` is written
    /// `p%2Fw`. Parts missing from the URL come from `PGHOST`, `PGPASSWORD` and so on, and from the
    /// `.pgpass` file, as [sqlx](sqlx::postgres::PgConnectOptions) reads them.
    ///
    /// List several [hosts](ManagerBuilder::hosts) as `postgres://app@db1:5432,db2:5433/saas`, or
    /// in the parameters `host` and `port`, with `target_session_attrs` and `load_balance_hosts`.
    ///
    /// [`build`](ManagerBuilder::build) refuses settings that cannot be honoured: unknown
    /// parameters, `channel_binding=require`, unreadable files. Its error names the parameter.
    /// Parts of the URL that may be secret never appear in a log or an error.
    ///
    /// As with libpq, `sslmode=require` with an `sslrootcert` means `verify-ca`, and
    /// `sslrootcert=system` uses the certificate authorities that sqlx was compiled with and
    /// verifies the host as well. `connect_timeout`, in seconds, sets
    /// [`PoolOptions::connect_timeout`](crate::PoolOptions::connect_timeout), unless
    /// [`pool_options`](ManagerBuilder::pool_options) set another. Unlike with libpq, a `+` in the
    /// query string is a space.
    pub fn builder(database_url: impl AsRef<str>) -> ManagerBuilder {
        ManagerBuilder::new(database_url.as_ref())
    }

    /// Starts configuring a manager from connect options instead of a URL. For several hosts, use
    /// [`hosts`](ManagerBuilder::hosts).
    pub fn builder_with(connect: PgConnectOptions) -> ManagerBuilder {
        ManagerBuilder::with(connect)
    }

    fn new(fleet: Fleet) -> Self {
        let checks = Arc::new(Checks::new(fleet.servers()));
        let warming = tokio::sync::Mutex::new(());
        Self(Arc::new(Inner {
            fleet,
            checks,
            warming,
            #[cfg(feature = "serve")]
            serving: TaskTracker::new(),
        }))
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.0.fleet
    }

    /// Returns the connect options, including the password.
    pub(crate) fn connect_options(&self) -> &PgConnectOptions {
        self.server().connector().options()
    }

    #[cfg(feature = "serve")]
    pub(crate) fn serving(&self) -> &TaskTracker {
        &self.0.serving
    }

    fn servers(&self) -> &Servers {
        self.0.fleet.servers()
    }

    fn server(&self) -> &Arc<Server> {
        self.0.fleet.server()
    }

    /// Returns the database of a tenant. Takes no connection; reads the cache or the catalog.
    ///
    /// # Errors
    ///
    /// [`InvalidTenantId`](crate::ErrorKind::InvalidTenantId) when the text is not a valid id,
    /// [`UnknownTenant`](crate::ErrorKind::UnknownTenant) and
    /// [`Suspended`](crate::ErrorKind::Suspended) when the catalog says so,
    /// [`Placement`](crate::ErrorKind::Placement) when the tenant's place cannot be used,
    /// [`Closed`](crate::ErrorKind::Closed) after [`close`](Self::close), and connection errors of
    /// the catalog query.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn tenant<I>(&self, id: I) -> Result<TenantDb, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let id = id.try_into().map_err(Into::into)?;
        self.listen_once();
        self.0.fleet.tenant(&id).await
    }

    /// Returns the database of a tenant like [`tenant`](Self::tenant), but also of a suspended one.
    /// For an adapter that checks first whether the caller may use the tenant: other callers must
    /// not learn that it is suspended. [`check_authorized`](crate::admission::check_authorized)
    /// decides both.
    ///
    /// Nothing can run on the handle of a [suspended](crate::Tenant::state) tenant: every statement
    /// and acquire fails with [`Suspended`](crate::ErrorKind::Suspended).
    ///
    /// # Errors
    ///
    /// Those of [`tenant`](Self::tenant), except `Suspended`.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn tenant_to_authorize<I>(&self, id: I) -> Result<TenantDb, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let id = id.try_into().map_err(Into::into)?;
        self.listen_once();
        self.0.fleet.tenant_in_any_state(&id).await
    }

    /// Returns the shared schema.
    #[must_use]
    pub fn shared(&self) -> &SharedDb {
        self.0.fleet.shared()
    }

    /// Lists all tenants in the catalog, including suspended ones.
    /// [`tenants_stream`](Self::tenants_stream) lists them page by page.
    ///
    /// # Errors
    ///
    /// When the catalog fails, or cannot list tenants.
    pub async fn tenants(&self) -> Result<Vec<TenantRecord>, Error> {
        self.0.fleet.list().await
    }

    /// Returns where the data of a tenant lives according to its record. Does no I/O: the container
    /// may not exist.
    ///
    /// # Errors
    ///
    /// [`Placement`](crate::ErrorKind::Placement) when the name template yields no valid name for
    /// the id.
    pub fn placement(&self, record: &TenantRecord) -> Result<Placement, Error> {
        self.0.fleet.lookup().place(record)
    }

    /// Discards the cached catalog entry of a tenant, so that the catalog is queried again. Until
    /// it answers, the tenant is not served, regardless of
    /// [`stale_if_error`](crate::CatalogOptions::stale_if_error).
    ///
    /// Existing handles are unaffected. Does nothing for text that is not a valid id.
    pub async fn invalidate<I>(&self, id: I)
    where
        I: TryInto<TenantId>,
    {
        if let Ok(id) = id.try_into() {
            self.0.fleet.lookup().forget(id.as_str());
        }
    }

    /// Evicts a tenant pool: idle connections are unbound now, checked-out ones on return.
    ///
    /// Returns `true` if there was one; `false` for text that is not a valid id. Running statements
    /// and transactions are not disturbed.
    pub fn evict<I>(&self, id: I) -> bool
    where
        I: TryInto<TenantId>,
    {
        id.try_into()
            .is_ok_and(|id| self.servers().evict(&OccupantId::Tenant(id), EvictReason::Requested))
    }

    /// Skips the initial check that a connection keeps its session, which compares the first two
    /// connections. For managers that live as long as a test, on a server started for tests, or one
    /// that another manager has already found to keep sessions. A violation detected later still
    /// counts.
    #[doc(hidden)]
    pub fn assume_sessions_are_kept(&self) {
        self.server().assume_sessions_are_kept();
    }

    /// Returns a snapshot of the pool's counters; with [several servers](ManagerBuilder::server), of the main
    /// one's.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        self.server().serving().snapshot(Detail::Tenants)
    }

    /// Returns a snapshot of each server's pool, by the server's name; `main` is the one that the
    /// manager was built for. [Behind a transaction pooler](ManagerBuilder::behind_transaction_pooler), this is
    /// the pool of connections to the pooler, and `main/direct` that of the direct ones. The pools of
    /// [replicas](ManagerBuilder::replica) are `main/replica-1` and so on.
    #[must_use]
    pub fn snapshots(&self) -> BTreeMap<String, PoolSnapshot> {
        let all = self.servers().all();
        let pools = all.flat_map(|(name, server)| {
            let direct = server.front().map(|_| (format!("{name}/direct"), server));
            let replicas = server.replicas().into_iter().flat_map(|replicas| replicas.servers());
            let replicas = replicas.map(|replica| (replica.name().to_owned(), replica));
            std::iter::once((name.to_owned(), server.serving())).chain(direct).chain(replicas)
        });
        pools.map(|(name, pool)| (name, pool.snapshot(Detail::Tenants))).collect()
    }

    /// Returns the number of open connections to the main server, idle or in use, like `PgPool::size`.
    ///
    /// Connections that are being opened or closed are not counted, nor is the connection on which
    /// a catalog listens for changes. [`snapshot`](Self::snapshot) lists them separately.
    #[must_use]
    pub fn size(&self) -> u32 {
        u32::try_from(self.server().serving().size().0).unwrap_or(u32::MAX)
    }

    /// Returns the number of open, idle connections to the main server, like `PgPool::num_idle`.
    ///
    /// A connection that was just returned counts once its session has been reset.
    #[must_use]
    pub fn num_idle(&self) -> usize {
        self.server().serving().size().1
    }

    /// Changes the connection budget at run time, for example when a deployment scales out and
    /// divides the server's connections anew.
    ///
    /// A larger budget takes effect at once. With a smaller one, idle connections are closed now
    /// and leased ones on return; until then no new connection is opened. Values derived from the
    /// budget are derived again: the [reserve](crate::PoolOptions::reserved_connections) and the
    /// [cap per tenant](crate::PoolOptions::max_connections_per_tenant), unless they were set.
    /// Snapshots, metrics and health show the new budget. If processes
    /// [share the budget](ManagerBuilder::budget_shared_by), it is that of all of them, from the next beat on.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = tenantry::TenantManager::builder("postgres://app@localhost/saas").build()?;
    /// manager.resize(40)?;
    /// assert_eq!(manager.snapshot().max, 40);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`OptionsError`](crate::OptionsError) where [`build`](ManagerBuilder::build) would refuse
    /// the budget, such as a budget below a cap that was set. The pool is then unchanged.
    pub fn resize(&self, max_connections: usize) -> Result<(), OptionsError> {
        self.server().serving().resize(max_connections)
    }

    /// Creates the table for budgets that [processes share](ManagerBuilder::budget_shared_by), on each server, if
    /// it is missing.
    ///
    /// It is for a separate role that owns the schema: call it in a deploy, with the
    /// [login of maintenance](ManagerBuilder::upkeep_credentials) or as that role. The role that the manager logs in
    /// as may then use the table. A process that may create it does so at its first use. The manager that
    /// creates it need not share a budget. Safe to call any number of times, from several processes at once.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) when the role may not create it in the shared schema, or when the
    /// object of that name, `tenantry_budget`, was made by another role. Otherwise the errors of connections.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the table was created or not.
    pub async fn create_budget_table(&self) -> Result<(), Error> {
        let schema = self.0.fleet.shared().schema();
        for (_, server) in self.servers().all() {
            budget::create_table(server, schema).await?;
        }
        Ok(())
    }

    /// Binds a connection to each of these tenants before the first request needs it.
    ///
    /// A budget of 20 connections, one of which is reserved for the library, keeps at most 19
    /// tenants warm. Further tenants are looked up and reported as
    /// [over budget](crate::WarmUpStatus::OverBudget), because warming them would evict those
    /// already warm. List the most important tenants first. Warmed connections are held until all
    /// are done, so a warm-up that runs beside requests makes them wait. Warm-ups run one after the
    /// other.
    ///
    /// # Examples
    ///
    /// See [`WarmUp`].
    ///
    /// # Cancel safety
    ///
    /// When dropped, tenants that are already warm stay warm.
    pub async fn warm_up<I>(&self, tenants: I, options: WarmUp) -> WarmUpReport
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let named = tenants.into_iter().map(|name| name.as_ref().into()).collect();
        let _alone = self.0.warming.lock().await;
        warmup::warm_up(self.server(), &|name| self.find(name), named, &options).await
    }

    /// Warms up the first tenants that the catalog lists, at most `most`. Skips suspended tenants.
    ///
    /// # Errors
    ///
    /// When the catalog fails, or cannot list tenants.
    ///
    /// # Cancel safety
    ///
    /// Like [`warm_up`](Self::warm_up).
    pub async fn warm_up_all(&self, most: usize, options: WarmUp) -> Result<WarmUpReport, Error> {
        let tenants = self.tenants().await?;
        let active = tenants.iter().filter(|record| record.state.is_served());
        let ids = active.take(most).map(|record| record.id.as_str());
        Ok(self.warm_up(ids.collect::<Vec<_>>(), options).await)
    }

    /// Checks the health of the database and the tenants.
    ///
    /// Always returns, after about the [ping timeout](HealthOptions::ping_timeout) at the latest.
    ///
    /// # Examples
    ///
    /// See [`HealthOptions`].
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn health(&self, options: HealthOptions) -> HealthReport {
        self.server().start();
        let subject = Subject { servers: self.servers(), find: &|name| self.find(name) };
        self.0.checks.run(&subject, &options).await
    }

    /// Lists the extensions that tenants cannot reach without naming their schema: the schema is
    /// not one of the [`extension_schemas`](ManagerBuilder::extension_schemas), or a tenant's role
    /// may not use it.
    ///
    /// An extension that no tenant uses is harmless; one with
    /// [columns of its types](UnreachableExtension::schemas_in_use) is a mistake. Some of these
    /// mistakes raise no error: a column of type `citext` is compared as `text`, case-sensitively.
    /// Reads the server's catalogs in one statement, which takes longer with many tables: call it
    /// at startup, or in a check before a deploy.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// for missing in manager.unreachable_extensions().await? {
    ///     eprintln!("{missing}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the query fails.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn unreachable_extensions(&self) -> Result<Vec<UnreachableExtension>, Error> {
        health::unreachable(&self.0.fleet).await
    }

    /// Reads the database's own view of its load: sessions by process, tenant and state, waits,
    /// slow statements and totals.
    ///
    /// Takes two cheap statements, whatever the number of tenants, so it can be called every
    /// second. Details that the role may not read are listed as [unseen](Activity::unseen).
    ///
    /// [Several servers](ManagerBuilder::server) are read at the same time, each within
    /// [`server_timeout`](ActivityOptions::server_timeout). One that is away is reported in
    /// [`Activity::servers`], and spoils nothing of the others. Sessions in the tenants' own databases are included:
    /// if there are any, the tenants are listed, too.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// use tenantry::activity::{ActivityOptions, ActivityRates};
    ///
    /// let before = manager.activity(ActivityOptions::default()).await?;
    /// tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    /// let after = manager.activity(ActivityOptions::default()).await?;
    /// println!("{after}");
    /// if let Some(rates) = ActivityRates::between(&before, &after) {
    ///     println!("{:.0} commits/s", rates.commits);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the query fails, or takes longer than the [`server_timeout`](ActivityOptions::server_timeout); with
    /// several servers, when this happens on all of them.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn activity(&self, options: ActivityOptions) -> Result<Activity, Error> {
        activity::read(&self.0.fleet, &options).await
    }

    /// Reads the disk space that the tables of each tenant take.
    ///
    /// Lists the tenants and reads a row for every table, so the cost grows with the fleet: call it
    /// once a minute, not every second. It covers all [servers](ManagerBuilder::server), and connects to each
    /// database that tenants are in, to at most four of a server at a time. The sizes of tenants whose server or
    /// database is away are [unseen](TenantSizes::unseen); a further server that hangs is given up after some
    /// seconds.
    ///
    /// # Errors
    ///
    /// When the tenants cannot be listed, or the query fails in the manager's database.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn tenant_sizes(&self, method: SizeMethod) -> Result<TenantSizes, Error> {
        activity::read_sizes(&self.0.fleet, method).await
    }

    /// Attacks tenant isolation through the configured connection, in scratch schemas, and reports
    /// the outcome of each attack: evidence for an audit.
    ///
    /// Where tenants are [isolated by row](crate::Isolation::row), the attacks include those on rows, in
    /// scratch tables with the configured column, setting and role, and the report contains the errors
    /// of [`verify_rows`](Self::verify_rows). It also says what no attack can show: SQL that a tenant
    /// wrote, or injected, reaches every tenant, because every role can set a custom setting.
    ///
    /// The scratch schemas, whose names begin with `tenantry_proof_` and a random number, and up to
    /// two roles, are created and removed with the
    /// [maintenance login](ManagerBuilder::upkeep_credentials). The attacks take up to 4
    /// connections of the budget while they run, and two seconds or more. Scratch schemas of a
    /// proof that was killed are removed by the next proof that begins more than an hour later.
    ///
    /// This is the only operation that runs behind a pooler in transaction mode, where it detects
    /// the leak.
    ///
    /// # Examples
    ///
    /// See [`ProofOptions`].
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) when an option cannot be followed,
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied) when the login may not create
    /// schemas, and connection errors. An attack that cannot be run is not an error: the report
    /// gives the reason.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the scratch schemas are removed in the background, which [`close`](Self::close) waits for.
    pub async fn prove_isolation(&self, options: ProofOptions) -> Result<IsolationProof, Error> {
        let fleet = &self.0.fleet;
        let connect = self.connect_options();
        proof::prove(fleet, connect.get_username(), &options).await
    }

    /// Returns the pool's metrics, for serialization; with [several servers](ManagerBuilder::server), of each.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let upkeep = UpkeepMetrics::read(&self.server().observer.meters);
        let mut further = self.snapshots();
        let main = further.remove(MAIN).unwrap_or_else(|| self.snapshot());
        Metrics::new(&main, &further, upkeep, SystemTime::now())
    }

    /// Creates a collector of the pool's metrics for a [`prometheus::Registry`].
    ///
    /// # Examples
    ///
    /// See [`MetricsCollector`](crate::MetricsCollector).
    #[cfg(feature = "prometheus")]
    #[must_use]
    pub fn collector(
        &self,
        options: crate::metrics::MetricsOptions,
    ) -> crate::metrics::MetricsCollector {
        crate::metrics::MetricsCollector::new(self.servers(), &self.0.checks, &options)
    }

    /// Exports the pool's metrics to OpenTelemetry, under the names of its
    /// [semantic conventions](https://opentelemetry.io/docs/specs/semconv/db/database-metrics/):
    /// `db.client.connection.count` with the state `idle` or `used`, `.idle.max`, `.idle.min`,
    /// `.max`, `.pending_requests`, `.timeouts`, `.create_time`, `.wait_time`, `.use_time`, and
    /// `db.client.operation.duration`. Beyond the conventions, it exports
    /// `tenantry.migration.duration` and `tenantry.creation.duration` with the attribute `outcome`,
    /// `tenantry.tenants` with `state`, and `tenantry.spares`, as described at
    /// [`MetricsCollector`](crate::MetricsCollector). Times are in seconds.
    ///
    /// `pool` is the value of the attribute `db.client.connection.pool.name`, such as `tenantry`; a
    /// [further server](ManagerBuilder::server) appends its name, such as `tenantry/eu-1`.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) when it was called before: everything would be counted
    /// twice.
    #[cfg(feature = "opentelemetry")]
    pub fn register_opentelemetry(
        &self,
        meter: &opentelemetry::metrics::Meter,
        pool: &str,
    ) -> Result<(), Error> {
        for (name, server) in self.servers().all() {
            match name {
                crate::tenant::MAIN => crate::metrics::register(server, meter, pool)?,
                _ => crate::metrics::register(server, meter, &format!("{pool}/{name}"))?,
            }
        }
        Ok(())
    }

    /// Migrates the schemas of all tenants with these files, as `sqlx::migrate!().run(&pool)` does
    /// for one schema. Call it at the start of a service, before the first request. The report goes
    /// to the log.
    ///
    /// Equivalent to [`migrator`](Self::migrator) with its defaults. Any number of instances may
    /// call it concurrently. Tell the [provisioner](Self::provisioner) separately which migrations
    /// a new tenant is created with.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # static FILES: sqlx::migrate::Migrator = sqlx::migrate::Migrator::DEFAULT;
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// // `&sqlx::migrate!()` in a program that has sqlx's feature `macros`.
    /// manager.migrate(&FILES).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Migration`](crate::ErrorKind::Migration) when the files cannot be used or a schema could
    /// not be migrated. The other schemas are migrated, and the source is
    /// [`Incomplete`](crate::Incomplete) with the report. Otherwise like
    /// [`TenantMigrator::migrate_all`].
    ///
    /// # Cancel safety
    ///
    /// Like [`TenantMigrator::migrate_all`].
    pub async fn migrate<F>(&self, files: F) -> Result<(), Error>
    where
        F: TryInto<Migrations>,
        Error: From<F::Error>,
    {
        let migrator = self.migrator().tenants(files.try_into()?);
        match migrator.migrate_all(MigrateOptions::default()).await?.into_result() {
            Ok(report) => tracing::info!(target: "tenantry::migrate", "{report}"),
            Err(incomplete) => {
                let report = incomplete.report().to_string();
                for line in report.lines().filter(|line| !line.is_empty()) {
                    tracing::error!(target: "tenantry::migrate", "{line}");
                }
                return Err(incomplete.into());
            }
        }
        Ok(())
    }

    /// Creates a [`TenantMigrator`] for the schemas of all tenants and the shared schema.
    pub fn migrator(&self) -> TenantMigrator {
        TenantMigrator::new(self.0.fleet.clone())
    }

    /// Creates a [`Seeder`] that runs [seeds](crate::seed::Seed) in tenant schemas and in the
    /// shared schema.
    pub fn seeder(&self) -> Seeder {
        Seeder::new(self.0.fleet.clone())
    }

    /// Creates a [`Drift`], which compares the schemas of all tenants.
    pub fn drift(&self) -> Drift {
        Drift::new(self.0.fleet.clone())
    }

    /// Creates a [`FanOut`], which runs one operator statement over many tenants.
    pub fn fan_out(&self) -> FanOut {
        FanOut::new(self.0.fleet.clone())
    }

    /// Creates a [`Provisioner`], which creates, suspends, renames and drops tenants.
    pub fn provisioner(&self) -> Provisioner {
        Provisioner::new(self.0.fleet.clone())
    }

    /// Creates an [`Archiver`], which exports tenants to archives and imports them from there.
    pub fn archiver(&self) -> Archiver {
        Archiver::new(self.0.fleet.clone())
    }

    /// Creates a [`Mover`], which moves tenants between [servers](ManagerBuilder::server) and kinds of isolation.
    pub fn mover(&self) -> Mover {
        Mover::new(self.0.fleet.clone())
    }

    fn find(&self, name: Arc<str>) -> BoxFuture<'_, Result<TenantDb, Error>> {
        Box::pin(async move { self.tenant(&*name).await })
    }

    /// Closes the manager: undoes or completes [moves](crate::moves::Mover) that are under way, refuses new acquires, waits for
    /// leases to come back, closes every connection and stops every background task. This takes 30 s at most.
    ///
    /// The server ends the session behind a closed connection by itself. `close` waits up to 100 ms for
    /// it and does not ask, so a busy server can still list a session in `pg_stat_activity` afterwards.
    ///
    /// Further calls do nothing more. Requests that wait for a connection fail with
    /// [`Closed`](crate::ErrorKind::Closed).
    ///
    /// # Cancel safety
    ///
    /// When dropped, the manager is closing, or closed to new acquires if no move is under way; call it again.
    pub async fn close(&self) {
        self.close_within(PATIENCE).await;
    }

    /// Closes the manager and waits at most this long for moves and leases.
    ///
    /// A connection whose lease takes longer is closed when the lease ends.
    ///
    /// # Cancel safety
    ///
    /// Like [`close`](Self::close).
    pub async fn close_within(&self, patience: Duration) {
        let began = Instant::now();
        // A move is undone, or completed, with connections to both servers.
        self.begin_closing();
        self.server().finish_works(patience).await;
        let left = patience.saturating_sub(began.elapsed());
        let all = self.servers().all().map(|(_, server)| server.close(left));
        join_all(all).await;
    }

    /// Returns `true` once [`close`](Self::close) has been called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.server().is_closed()
    }

    /// Announces that the manager is about to close: [`closing`](Self::closing) resolves, and `/readyz` and
    /// [`health`](Self::health) report it as unhealthy. Tenants are still served.
    ///
    /// Call it when the process is told to stop, before the server drains its requests, and
    /// [`close`](Self::close) afterwards. `tenantry_axum::serve` and `tenantry_actix::serve` do both.
    /// Calling it again does nothing.
    pub fn begin_closing(&self) {
        for (_, server) in self.servers().all() {
            server.closing().cancel();
        }
    }

    /// Returns `true` once closing has begun.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.server().closing().is_cancelled()
    }

    /// Resolves when closing begins, by [`begin_closing`](Self::begin_closing) or
    /// [`close`](Self::close), or at once if it has begun.
    ///
    /// Select on it in work that runs indefinitely: a websocket, a stream of server-sent events, a
    /// worker between two jobs. The future borrows nothing and can be moved into a stream or a
    /// task.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::{pin::pin, time::Duration};
    /// use futures_util::future::{Either, select};
    /// use tenantry::TenantManager;
    ///
    /// async fn work(manager: TenantManager) {
    ///     let mut closing = pin!(manager.closing());
    ///     loop {
    ///         let pause = pin!(tokio::time::sleep(Duration::from_secs(60)));
    ///         if let Either::Left(_) = select(&mut closing, pause).await {
    ///             return;
    ///         }
    ///         // One round of the work.
    ///     }
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        self.server().closing().clone().cancelled_owned()
    }

    /// Resolves when [`close`](Self::close) has finished: no connection is open, unless a lease has
    /// outlived the deadline.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        self.server().done().clone().cancelled_owned()
    }

    /// Spawns a task that [`close`](Self::close) waits for, on the runtime of the connections.
    #[cfg(feature = "ops")]
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        self.server().start();
        self.server().spawn(task)
    }

    /// Starts listening for catalog changes at the first look-up, if the catalog announces them.
    fn listen_once(&self) {
        if self.is_closed() {
            return;
        }
        let fleet = &self.0.fleet;
        let server = fleet.server();
        let connector = server.connector();
        if let Some(listening) =
            listen(connector, fleet.lookup(), server.admission(), server.shutdown())
        {
            server.start();
            server.spawn(listening);
        }
    }
}

impl fmt::Debug for TenantManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantManager").field("fleet", &self.0.fleet).finish_non_exhaustive()
    }
}
