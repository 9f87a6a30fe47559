//! axum extractors for the database of the request's tenant, and routes for operators.
//!
//! A [`TenantLayer`] determines the tenant and rejects requests without a valid one; handlers then
//! extract what they need:
//!
//! | extractor | what it gives | takes a connection |
//! |---|---|---|
//! | [`Db`] | [`TenantDb`], on which statements run | for each statement |
//! | [`Tx`] | an open transaction, for a handler without a body | until the handler ends or commits |
//! | [`TxWith`] | the body, and a transaction that begins after reading it | likewise |
//! | [`CurrentTenant`] | the tenant: id and catalog record | no |
//! | [`Shared`] | [`SharedDb`](tenantry::SharedDb), the schema that all tenants share; needs no tenant | for each statement |
//! | `Option` of `Db`, `Tx`, `CurrentTenant` | `None` if an [optional](TenantLayer::optional) layer found no tenant | |
//!
//! All of them are newtypes to destructure, like axum's. Handlers return [`DbError`], into which
//! `?` converts every error of sqlx and tenantry; its response never contains database error texts.
//!
//! # Examples
//!
//! ```no_run
//! use axum::{Json, Router, http::StatusCode, routing::get};
//! use tenantry::TenantManager;
//! use tenantry_axum::{CurrentTenant, Db, DbError, TenantLayer, TxWith};
//!
//! # #[cfg(feature = "ops")]
//! fn app(manager: TenantManager) -> Router {
//!     Router::new()
//!         .route("/users", get(list_users).post(create_user))
//!         .route("/tenant", get(show_tenant))
//!         .layer(TenantLayer::new(manager.clone()))
//!         // Routes added after the layer need no tenant: /health, /livez, /readyz, /metrics.
//!         .merge(tenantry_axum::ops_routes(manager))
//! }
//!
//! async fn list_users(Db(db): Db) -> Result<Json<Vec<String>>, DbError> {
//!     Ok(Json(sqlx::query_scalar("select name from users").fetch_all(&db).await?))
//! }
//!
//! async fn create_user(
//!     TxWith(mut tx, Json(name)): TxWith<Json<String>>,
//! ) -> Result<StatusCode, DbError> {
//!     sqlx::query("insert into users (name) values ($1)").bind(name).execute(&mut *tx).await?;
//!     tx.commit().await?;
//!     Ok(StatusCode::CREATED)
//! }
//!
//! async fn show_tenant(CurrentTenant(tenant): CurrentTenant) -> String {
//!     tenant.id().to_string()
//! }
//! ```
//!
//! # Layers and routes
//!
//! [`Router::layer`](https://docs.rs/axum/0.8/axum/struct.Router.html#method.layer) covers the
//! routes that were added before it, and the fallback: for a path that no route matches, a request
//! without a tenant gets 400 rather than 404. Use `route_layer` for the opposite. After a
//! [`merge`](https://docs.rs/axum/0.8/axum/struct.Router.html#method.merge), the fallback is that
//! of the router that was merged last.
//!
//! A handler that extracts a tenant outside of any layer is a bug: the client gets a plain 500, and
//! the log names the missing layer.
//!
//! # Logs and metrics of outer layers
//!
//! The layer records the tenant in the field `tenant` of the current span, if that span declares
//! it, and puts the [`Tenant`](tenantry::Tenant) into the response's extensions:
//!
//! ```no_run
//! use axum::{Router, extract::Request, middleware::{Next, from_fn}, response::Response};
//! use tenantry::Tenant;
//! use tenantry_axum::TenantLayer;
//! use tracing::{Instrument, field, info, info_span};
//!
//! async fn access_log(request: Request, next: Next) -> Response {
//!     let span = info_span!("request", path = request.uri().path(), tenant = field::Empty);
//!     let response = next.run(request).instrument(span).await;
//!     let tenant = response.extensions().get::<Tenant>().map(|tenant| tenant.id().as_str());
//!     info!(tenant, status = response.status().as_u16(), "served");
//!     response
//! }
//!
//! # fn example(routes: Router, manager: tenantry::TenantManager) -> Router {
//! routes.layer(TenantLayer::new(manager)).layer(from_fn(access_log))
//! # }
//! ```
//!
//! # Sessions and tokens
//!
//! A client can send a session cookie or token of tenant A with the header or host of tenant B.
//! [`TenantLayer::bound_to`] answers such a request with 403. The layer must be inside the one that
//! reads the session, so add it *before* that one:
//!
//! ```no_run
//! use axum::{Extension, Router};
//! use tenantry::TenantId;
//! use tenantry_axum::TenantLayer;
//!
//! /// Stored at sign-in, and read by a layer.
//! #[derive(Clone)]
//! struct Login {
//!     tenant: TenantId,
//! }
//!
//! # fn example(routes: Router, manager: tenantry::TenantManager, login: Login) -> Router {
//! let bound = TenantLayer::new(manager)
//!     .bound_to(|parts| Some(parts.extensions.get::<Login>()?.tenant.clone()));
//! routes.layer(bound).layer(Extension(login))
//! # }
//! ```
//!
//! # Operating a service
//!
//! [`ops_routes`] creates the routes for load balancers, orchestrators and Prometheus; the builder
//! [`OpsRoutes`] configures what they reveal, and to whom.
//!
//! | route | for | reports |
//! |---|---|---|
//! | `/livez` | liveness probes | that the process runs, without any external check |
//! | `/readyz` | readiness probes, load balancers | whether requests can be served |
//! | `/health` | people, dashboards | the state of the database, the pool and, optionally, each tenant |
//! | `/metrics` | Prometheus | all metrics, optionally behind a password |
//!
//! They are safe on an open port: by default they contain no tenants, addresses or database error
//! texts.
//!
//! [`serve()`] serves until SIGTERM or Ctrl-C. Then it makes `/readyz` answer 503, lets requests
//! finish within a deadline, cuts the remaining connections, and
//! [closes](tenantry::TenantManager::close) the manager.
//!
//! # Code that cannot be handed a value
//!
//! If a callback or a foreign trait stands between handler and database, [`tenantry::context`]
//! carries the handle as a task-local. [`ContextLayer`] sets it, for handlers and for the streams
//! that they return:
//!
//! ```no_run
//! use axum::Router;
//! use tenantry::context;
//! use tenantry_axum::{ContextLayer, DbError, TenantLayer};
//!
//! async fn count() -> Result<String, DbError> {
//!     let db = context::current()?;
//!     let count: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&db).await?;
//!     Ok(count.to_string())
//! }
//!
//! # fn example(routes: Router, manager: tenantry::TenantManager) -> Router {
//! routes.layer(ContextLayer::new()).layer(TenantLayer::new(manager))
//! # }
//! ```
//!
//! # Features
//!
//! | feature | default | what it does |
//! |---|---|---|
//! | `ops` | on | [`ops_routes`] and [`OpsRoutes`]; needs axum itself |
//! | `lint` | on | a parser for the lint of migrations, as the same feature of `tenantry` |
//! | `prometheus` | on | `/metrics` and the collector of the manager |
//! | `serve` | on | [`serve()`] and [`bind`]; needs axum's server for HTTP/1, and tokio's signals |
//! | `tls` | on | TLS to the server, as the same feature of `tenantry` |
//! | `tls-native-roots` | off | likewise |
//!
//! This crate also turns on the default features of `tenantry`: turn them off with
//! `default-features = false` on both.

mod current_tenant;
mod db;
mod error;
mod lookup;
mod mapped;
#[cfg(feature = "ops")]
mod ops;
mod response_for;
#[cfg(feature = "serve")]
mod serve;
mod shared;
mod tenant_rejection;
mod tx;
mod tx_with;
mod unread;

pub use current_tenant::CurrentTenant;
pub use db::Db;
pub use error::DbError;
pub use mapped::Mapped;
#[cfg(feature = "ops")]
pub use ops::{OpsRoutes, RegisterError, ops_routes};
pub use response_for::{mapped_response_for, response_for};
#[cfg(feature = "serve")]
pub use serve::{Guarded, GuardedIo, Listening, Serve, bind, serve};
pub use shared::Shared;
pub use tenant_rejection::{TenantRejection, TxRejection, TxWithRejection};
/// A transaction of a tenant, as [`TenantDb::begin`] and [`Tx`] give it.
pub use tenantry::TenantTransaction;
#[cfg(feature = "serve")]
pub use tenantry::serve::{ServeEnd, ServeFuture, ServeOptions, ServeReport};
pub use tenantry_tower::{
    Authorize, AuthorizeError, BoundTo, ContextBody, ContextFuture, ContextLayer, ContextService,
    NoTenant, Problem, ProblemJson, Rejection, RejectionKind, Resolve, ResolveError, Respond,
    Switch, TenantDb, TenantLayer, TenantService, resolve,
};
pub use tx::Tx;
pub use tx_with::TxWith;

/// The code of the repository's README compiles.
#[cfg(all(doctest, feature = "ops"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The code for those who come from another library compiles, and runs where it needs no server.
#[cfg(all(doctest, feature = "ops"))]
#[doc = include_str!("../../../docs/from-drizzle-multitenant.md")]
struct FromDrizzleMultitenant;

/// The code of the page about migrating compiles.
#[cfg(all(doctest, feature = "ops"))]
#[doc = include_str!("../../../docs/migrating.md")]
struct Migrating;

/// The code of the page about adopting existing databases compiles.
#[cfg(all(doctest, feature = "ops"))]
#[doc = include_str!("../../../docs/adopting.md")]
struct Adopting;

/// The code of the page about connecting compiles.
#[cfg(all(doctest, feature = "ops"))]
#[doc = include_str!("../../../docs/connecting.md")]
struct Connecting;

/// The code of the page about catalogs compiles.
#[cfg(all(doctest, feature = "ops"))]
#[doc = include_str!("../../../docs/catalogs.md")]
struct Catalogs;

/// The code of the page about clones compiles.
#[cfg(all(doctest, feature = "ops"))]
#[doc = include_str!("../../../docs/clone.md")]
struct Cloning;

/// The code of the page about drift compiles.
#[cfg(all(doctest, feature = "ops"))]
#[doc = include_str!("../../../docs/drift.md")]
struct Drift;

/// The code of the page about observability compiles.
#[cfg(all(doctest, feature = "ops"))]
#[doc = include_str!("../../../docs/observability.md")]
struct Observability;

/// The code of the page about outages compiles.
#[cfg(all(doctest, feature = "ops"))]
#[doc = include_str!("../../../docs/outages.md")]
struct Outages;

/// The code of the page about provisioning and seeding compiles.
#[cfg(all(doctest, feature = "ops"))]
#[doc = include_str!("../../../docs/provisioning.md")]
struct Provisioning;

/// The code of the page about roles and extensions compiles.
#[cfg(all(doctest, feature = "ops"))]
#[doc = include_str!("../../../docs/roles.md")]
struct Roles;

/// The code of the page about serving compiles.
#[cfg(all(doctest, feature = "ops", feature = "serve"))]
#[doc = include_str!("../../../docs/serving.md")]
struct Serving;

/// The code of the page compiles.
#[cfg(all(doctest, feature = "ops", feature = "serve"))]
#[doc = include_str!("../../../docs/isolation.md")]
struct IsolationPage;

/// The code of the page compiles.
#[cfg(all(doctest, feature = "ops", feature = "serve"))]
#[doc = include_str!("../../../docs/background.md")]
struct BackgroundPage;

/// The code of the page compiles.
#[cfg(all(doctest, feature = "ops", feature = "serve"))]
#[doc = include_str!("../../../docs/deploying.md")]
struct DeployingPage;

/// The code of the page compiles.
#[cfg(all(doctest, feature = "ops", feature = "serve"))]
#[doc = include_str!("../../../docs/configuration.md")]
struct ConfigurationPage;

/// The code of the page compiles.
#[cfg(all(doctest, feature = "ops", feature = "serve"))]
#[doc = include_str!("../../../docs/troubleshooting.md")]
struct TroubleshootingPage;

/// The code of the page compiles.
#[cfg(all(doctest, feature = "ops", feature = "serve"))]
#[doc = include_str!("../../../docs/from-apartment.md")]
struct FromApartmentPage;

/// The code of the page compiles.
#[cfg(all(doctest, feature = "ops", feature = "serve"))]
#[doc = include_str!("../../../docs/from-django-tenants.md")]
struct FromDjangoTenantsPage;
