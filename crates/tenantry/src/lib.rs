//! Serve any number of PostgreSQL tenants from one bounded connection pool.
//!
//! A [`TenantManager`] turns a tenant id into a [`TenantDb`]: a database handle that can only see
//! that tenant and that sqlx accepts as an [`Executor`](sqlx::Executor).
//!
//! ```no_run
//! use tenantry::{Isolation, SchemaDiscovery, TenantManager};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let manager = TenantManager::builder("postgres://app@localhost/saas")
//!     .isolation(Isolation::schema("tenant_{id}")) // the schema of a tenant
//!     .catalog(SchemaDiscovery::default())         // a tenant is there when its schema is
//!     .max_connections(20)                         // for all tenants together
//!     .build()?;
//!
//! let db = manager.tenant("acme").await?;          // asks the catalog, takes no connection
//! let users: Vec<(i64, String)> =
//!     sqlx::query_as("select id, name from users").fetch_all(&db).await?;
//!
//! let mut tx = db.begin().await?;
//! sqlx::query("update users set name = $1 where id = $2").bind("Ann").bind(1_i64)
//!     .execute(&mut *tx).await?;
//! tx.commit().await?;
//!
//! let plans = sqlx::query("select * from plans").fetch_all(manager.shared()).await?;
//! manager.close().await;
//! # Ok(()) }
//! ```
//!
//! In a web service, the layer of `tenantry-axum` or the middleware of `tenantry-actix` does this
//! for every request.
//!
//! # How it works
//!
//! There is one pool of connections with one budget. A connection is *bound* to a tenant: its
//! search path is the tenant's schema. An [acquire](TenantDb::acquire) takes
//!
//! 1. an idle connection that is bound to this tenant: a **hit**, without a round trip;
//! 2. otherwise an unbound connection, or a new one while the budget allows;
//! 3. otherwise the least recently used idle connection of another tenant: a **rebind**, which
//!    resets the session and sets the new tenant's search path in one round trip;
//! 4. otherwise it **waits** until its deadline, in a queue that is fair between tenants.
//!
//! The tenant of a checked-out connection never changes, and a session that may have been modified
//! is reset before its next use, even for the same tenant. If the future of a statement is dropped
//! midway, the pool first reads its response to the end or cancels it.
//!
//! # Using sqlx
//!
//! | with sqlx | with a tenant |
//! |---|---|
//! | `query(…).fetch_all(&pool)`, `query!`, `query_as!`, `QueryBuilder` | the same with `&db` |
//! | `query(…).fetch(&pool)`, a stream | the same with `&db`; holds a connection until the stream ends or is dropped |
//! | `pool.acquire()` | [`db.acquire()`](TenantDb::acquire), a [`Lease`] |
//! | `pool.begin()`, `pool.begin_with(…)` | [`db.begin()`](TenantDb::begin), [`db.begin_with(…)`](TenantDb::begin_with) |
//! | `conn.begin()`, nested `tx.begin()` | [`lease.begin()`](Lease::begin), [`tx.begin()`](TenantTransaction::begin) |
//! | `fn f(tx: &mut Transaction<'_, Postgres>)` | [`db.transaction(async \|tx\| f(tx).await)`](TenantDb::transaction) |
//! | `fn f(conn: &mut PgConnection)` | `f(&mut lease)`, `f(&mut tx)` |
//! | `fn f(e: impl PgExecutor<'_>)` | `f(&db)`, `f(&mut lease)`, `f(&mut tx)` |
//! | `fn f<'a>(a: impl Acquire<'a, Database = Postgres>)` | `f(&mut lease)`, `f(&mut tx)`; not `f(&db)` |
//! | a field of type `Transaction<'static, Postgres>` | [`TenantTransaction`] |
//! | a field of type `PgPool` | [`TenantDb`], one per request |
//! | `conn.copy_in_raw(…)`, `conn.copy_out_raw(…)` | the same on a [`Lease`] |
//! | `PgListener` | see below |
//!
//! A `&TenantDb` is an `Executor`, not an [`Acquire`](sqlx::Acquire): `Acquire::begin` returns an
//! [`sqlx::Transaction`], and only sqlx's own pool can create one that owns its connection.
//! `acquire` and `begin` fail with [`sqlx::Error`], like those of sqlx's pool. The project's
//! `docs/porting.md` has the complete table.
//!
//! The `query!` macros check statements at compile time, against the database that `DATABASE_URL`
//! names. Put a tenant's schema in that URL's search path, for example with
//! `?options[search_path]=tenant_acme`, or use `cargo sqlx prepare`.
//!
//! **LISTEN.** Do not listen on a lease: it occupies a connection of the budget while it listens,
//! and the reset at its end stops it. Use one dedicated [`PgListener`](sqlx::postgres::PgListener)
//! per process for all tenants, put the tenant id in the channel or the payload, and reserve one
//! server connection for it. `NOTIFY` works anywhere.
//!
//! # Errors
//!
//! [`Error`] has a [`kind`](Error::kind) to branch on, reports whether it
//! [is transient](Error::is_transient), and never contains a password. Statements through a handle
//! fail with [`sqlx::Error`]; `Error::from` recovers the pool's error and distinguishes, for
//! example, a violated constraint from a deadlock or a read-only server.
//!
//! # Operating a service
//!
//! | to | use |
//! |---|---|
//! | migrate the schemas of all tenants | [`TenantManager::migrator`], [`migrate`] |
//! | create, suspend, rename or drop a tenant | [`TenantManager::provisioner`], [`provision`] |
//! | move a tenant to another server | [`moves`] |
//! | copy a tenant, with personal data masked | [`provision::Provisioner::clone_tenant`], [`clone`], [`anonymize`] |
//! | find tenants whose schemas differ from the expected one | [`TenantManager::drift`], [`drift`], [`schema`] |
//! | run code with the database of every tenant | [`TenantManager::for_each_tenant`], [`each`] |
//! | run one statement over all tenants | [`TenantManager::fan_out`], [`fan_out`] |
//! | find mistakes in the configuration, on the server and in tenant schemas | [`TenantManager::doctor`], [`doctor`] |
//! | fill schemas with data | [`TenantManager::seeder`], [`seed`] |
//! | survive a server restart | automatic: failed connects are [retried](PoolOptions::retry), and a [circuit breaker](BreakerOptions) keeps an outage short |
//! | retry failed operations | [`retry::retry`], [`retry::Retrier`] |
//! | be ready before the first request | [`TenantManager::warm_up`], [`TenantDb::ready`] |
//! | answer health probes | [`TenantManager::health`], or the routes of `tenantry-axum` and `tenantry-actix` |
//! | shut down gracefully | `serve` of `tenantry-axum` and `tenantry-actix`; [`TenantManager::closing`] for work that runs indefinitely |
//! | export metrics | [`TenantManager::collector`] for Prometheus, [`TenantManager::metrics`] for anything else |
//! | inspect the structure of a database | [`TenantManager::database_outline`], [`outline`] |
//! | inspect database activity and size | [`TenantManager::activity`], [`TenantManager::tenant_sizes`] |
//! | log and trace | `tracing` under the targets `tenantry::…`; [`ManagerBuilder::on_event`] and the other hooks |
//!
//! # Features
//!
//! | feature | default | what it does |
//! |---|---|---|
//! | `tls` | on | TLS to the server through rustls, with the roots of webpki-roots |
//! | `tls-native-roots` | off | TLS with the system's root certificates instead, read at each connect |
//! | `lint` | on | an SQL parser for the [lint](migrate::Lint) of migrations. Without it, the lint matches words: it finds fewer references to other schemas and no statement that may disrupt a running service |
//! | `prometheus` | on | [`TenantManager::collector`], and `/metrics` of `ops`; [`TenantManager::metrics`] is always available |
//! | `fmt` | off | `PlainFormat`: a plain line for each event, for tracing-subscriber |
//! | `opentelemetry` | off | `TenantManager::register_opentelemetry`: pool metrics as `db.client.connection.*` |
//! | `ops` | off | the module `ops`: responses of the adapters' health and metrics routes |
//! | `uuid` | off | `TenantId: From<Uuid>` |
//! | `serve` | off | the module `serve`: signals and the order of a graceful shutdown, for the adapters' `serve` |
//! | `schemars` | off | `schemars::JsonSchema` for reports, plans, records and events; use `SchemaSettings::for_serialize`, because these types are only serialized |

#![cfg_attr(
    not(all(feature = "lint", feature = "prometheus")),
    allow(
        dead_code,
        reason = "some figures are for the collector alone, some rules for the parser"
    )
)]

pub mod activity;
pub mod admission;
pub mod anonymize;
pub mod archive;
pub mod baseline;
mod budget;
pub mod catalog;
pub mod citus;
pub mod clone;
pub mod context;
mod db;
pub mod doctor;
pub mod drift;
pub mod each;
mod error;
mod error_report;
pub mod event;
pub mod fan_out;
mod finding;
mod fleet;
mod framework;
pub mod gate;
mod glob;
mod hashed;
mod health;
mod incomplete;
mod manager;
mod metrics;
pub mod migrate;
pub mod moves;
#[cfg(feature = "ops")]
pub mod ops;
pub mod outline;
mod plain;
mod pool;
pub mod proof;
pub mod provision;
mod reading;
pub mod retry;
pub mod rows;
pub mod schema;
pub mod seed;
#[cfg(feature = "serve")]
pub mod serve;
mod servers;
mod sql;
mod table;
mod tenant;
mod timestamp;
mod warmup;

pub use budget::SharedBudget;
pub use catalog::{
    Catalog, CatalogColumns, CatalogFn, CatalogOptions, FixedCatalog, SchemaDiscovery, TableCatalog,
};
pub use db::{ReadDb, SharedDb, TenantDb, TenantTransaction};
pub use error::{Error, ErrorClass, ErrorKind, OptionsError};
pub use error_report::ErrorReport;
#[cfg(feature = "fmt")]
pub use event::PlainFormat;
pub use event::{BreakerState, BudgetState, Event, EventOptions, EvictReason, ReplicaState};
pub use health::{
    CitusHealth, HealthOf, HealthOptions, HealthReport, HealthStatus, Holder, ReplicaHealth,
    Saturation, ServerHealth, SharedHealth, TenantHealth, Unreachable, UnreachableExtension,
};
pub use incomplete::Incomplete;
pub use manager::{
    ConfigError, ManagerBuilder, ReplicaOptions, ServerOptions, TenantManager, UrlError,
    url_parameters,
};
#[cfg(feature = "prometheus")]
pub use metrics::MetricsCollector;
pub use metrics::{
    ConnectionCounts, Metrics, MetricsOptions, PoolsMetrics, ServerMetrics, SharedMetrics,
    TenantMetrics, UpkeepMetrics,
};
pub use pool::{
    Acquires, BreakerOptions, BudgetSnapshot, ConsistencyToken, Credentials, Lease,
    LoadBalanceHosts, ParseTargetError, ParseTokenError, PoolOptions, PoolSnapshot, Pooling,
    SharedPoolSnapshot, TargetSessionAttrs, TenantPoolSnapshot, TransactionWatch,
};
pub use tenant::{
    Ident, IdentError, Isolation, IsolationKind, KeyType, LimitsError, NameTemplate,
    ParseIsolationKindError, ParseTenantIdError, Placement, PlacementPolicy, Rows, ServerLoad,
    SettingError, SlugError, SlugPolicy, TemplateError, Tenant, TenantId, TenantLimits,
    TenantRecord, TenantState, Tier,
};
pub use warmup::{TenantWarmUp, WarmUp, WarmUpReport, WarmUpStatus};
