//! actix-web middleware and extractors for the database of the request's tenant.
//!
//! A [`TenantMiddleware`] determines the tenant and rejects requests without a valid one; handlers
//! then extract what they need:
//!
//! | extractor | what it gives | takes a connection |
//! |---|---|---|
//! | [`Db`] | [`TenantDb`], on which statements run | for each statement |
//! | [`Tx`] | an open transaction, for a handler without a body | until the handler ends or commits |
//! | [`TxWith`] | the body, and a transaction that begins after reading it | likewise |
//! | [`CurrentTenant`] | the tenant: id and catalog record | no |
//! | [`Shared`] | [`SharedDb`](tenantry::SharedDb), the schema that all tenants share; needs no tenant | for each statement |
//! | [`Optional`] of `Db`, `Tx`, `CurrentTenant` | `None` if an [optional](TenantMiddleware::optional) middleware found no tenant | |
//!
//! All of them are newtypes to destructure. Handlers return [`DbError`], into which `?` converts
//! every error of sqlx and tenantry; its response never contains database error texts.
//!
//! # Examples
//!
//! ```no_run
//! use actix_web::{App, HttpResponse, HttpServer, web::{self, Json}};
//! use tenantry::{SchemaDiscovery, TenantManager};
//! use tenantry_actix::{CurrentTenant, Db, DbError, TenantMiddleware, TxWith};
//!
//! # #[cfg(not(all(feature = "ops", feature = "serve")))]
//! # fn main() {}
//! # #[cfg(all(feature = "ops", feature = "serve"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # actix_web::rt::System::new().block_on(run())
//! # }
//! # #[cfg(all(feature = "ops", feature = "serve"))]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // Here, and not in the closure below: all workers share one manager.
//! let manager = TenantManager::builder("postgres://app@localhost/saas")
//!     .catalog(SchemaDiscovery::default())
//!     .build()?;
//! let of_workers = manager.clone();
//! let server = HttpServer::new(move || {
//!     // What is outside of the scope needs no tenant: /health, /livez, /readyz, /metrics.
//!     App::new().service(tenantry_actix::ops_scope(of_workers.clone())).service(
//!         web::scope("")
//!             .wrap(TenantMiddleware::new(of_workers.clone()))
//!             .route("/users", web::get().to(list_users))
//!             .route("/users", web::post().to(create_user))
//!             .route("/tenant", web::get().to(show_tenant)),
//!     )
//! })
//! // If a client disconnects, its handler is dropped, and its running statement cancelled.
//! .h1_allow_half_closed(false)
//! .bind(("127.0.0.1", 3000))?;
//! // Until SIGTERM or Ctrl-C; then it drains, and closes the manager.
//! tenantry_actix::serve(server, &manager).await?;
//! # Ok(()) }
//!
//! async fn list_users(Db(db): Db) -> Result<Json<Vec<String>>, DbError> {
//!     Ok(Json(sqlx::query_scalar("select name from users").fetch_all(&db).await?))
//! }
//!
//! async fn create_user(
//!     TxWith(mut tx, Json(name)): TxWith<Json<String>>,
//! ) -> Result<HttpResponse, DbError> {
//!     sqlx::query("insert into users (name) values ($1)").bind(name).execute(&mut *tx).await?;
//!     tx.commit().await?;
//!     Ok(HttpResponse::Created().finish())
//! }
//!
//! async fn show_tenant(CurrentTenant(tenant): CurrentTenant) -> String {
//!     tenant.id().to_string()
//! }
//! ```
//!
//! # What happens to a request
//!
//! | step | who | when it fails |
//! |---|---|---|
//! | check the head: one host, a path in normal form | [`check_head`](tenantry::admission::check_head) | 400 |
//! | read the tenant id | the [resolver](resolve): header, host, path, claim; no I/O | 400 |
//! | is the caller's session or token of this tenant? | the [bound_to](TenantMiddleware::bound_to) closure, if there is one | 403 |
//! | look the tenant up | the manager's catalog, through its cache | 404 |
//! | may this caller use it? | the [authorize](TenantMiddleware::authorize) hook, if there is one | 403 |
//! | is it suspended? | told to callers who may use it | 403 |
//! | insert the [`TenantDb`] into the extensions | no connection is taken | |
//! | call the inner service | its first statement takes a connection | |
//!
//! If the look-up fails, for example because the database is unreachable, the response is a 503
//! with `Retry-After`; a setup that cannot work is a 500. An unknown, suspended or malformed tenant
//! never reaches a handler. See [`Rejection`] for the response and how to replace it.
//!
//! # A tenant id from outside is only a hint
//!
//! Anyone can send any header, host name or path. The middleware ensures that the tenant *exists*,
//! not that the caller *belongs* to it. So do one of these:
//!
//! - take the id from something that an outer middleware has verified, such as the claims of a token:
//!   [`resolve::Extension`];
//! - compare it with that in [`TenantMiddleware::bound_to`], which every application with sessions or
//!   tokens should do, or in [`TenantMiddleware::authorize`];
//! - let a proxy that you control set the header, and remove it from what comes from outside.
//!
//! ```no_run
//! use actix_web::{HttpMessage, dev::ServiceRequest};
//! use tenantry::TenantDb;
//! use tenantry_actix::{AuthorizeError, Resolve, TenantMiddleware, resolve};
//!
//! /// Inserted into the extensions by an authentication middleware.
//! struct User {
//!     tenant: String,
//! }
//!
//! # fn example(manager: tenantry::TenantManager) {
//! let middleware = TenantMiddleware::new(manager)
//!     .resolver(resolve::Subdomain::of("example.com").or(resolve::Header::default()))
//!     .authorize(|db: &TenantDb, request: &ServiceRequest| {
//!         let extensions = request.extensions();
//!         let user = extensions.get::<User>();
//!         let belongs = user.is_some_and(|user| user.tenant == db.tenant().id().as_str());
//!         async move { if belongs { Ok(()) } else { Err(AuthorizeError::Denied) } }
//!     });
//! # }
//! ```
//!
//! # What outer middlewares can see
//!
//! | where | what | when |
//! |---|---|---|
//! | the field `tenant` of the current span, if the span declares it | the id | the request has a valid one, whether rejected or not |
//! | the response's extensions | the [`Tenant`](tenantry::Tenant) | the request was admitted |
//!
//! So the span of an outer tracing middleware names the tenant, and access logs and counters can
//! read it from the response.
//!
//! ```
//! use tenantry::Tenant;
//!
//! fn served<B>(response: &actix_web::dev::ServiceResponse<B>) -> Option<String> {
//!     Some(response.response().extensions().get::<Tenant>()?.id().to_string())
//! }
//! ```
//!
//! With nested middlewares, the response contains the tenant of the innermost one.
//!
//! # Where to put it
//!
//! Put it inside everything that should see rejections (logging, CORS, compression) and inside
//! whatever the resolver, `bound_to` or the hook reads (sessions, authentication); outside of
//! everything that needs a tenant. The *last* `wrap` of an app or scope is outermost. A CORS
//! preflight has no tenant header, so the middleware that answers it must be outside.
//!
//! Around an [`App`](actix_web::App) it covers *everything*, whatever the order, including health
//! routes and the 404 of unknown paths. Around a scope it covers that scope. A scope for all other
//! paths, `web::scope("")`, must be the last service, because it takes every request.
//!
//! Middlewares nest: the innermost one decides. An [optional](TenantMiddleware::optional) one that
//! finds no tenant removes the handle of an outer one.
//!
//! A handler that extracts a tenant outside of any middleware is a bug: the client gets a plain
//! 500, and the log names the missing middleware.
//!
//! # Workers and the manager
//!
//! actix runs a single-threaded runtime on each worker. A connection belongs to the runtime that
//! opened it, so the manager opens all of them on *one* runtime: the one in which it was
//! [built](tenantry::ManagerBuilder::build). Build it in `main` and clone it into the workers; then
//! no connection is lost when a worker stops. A manager built in the closure of
//! [`HttpServer::new`](actix_web::HttpServer::new) would exist once per worker, each with a
//! separate budget.
//!
//! On shutdown, let actix finish the requests in flight, and then
//! [close](tenantry::TenantManager::close) the manager.
//!
//! # Clients that go away
//!
//! By default, actix runs a handler to its end even after the client has closed the connection. Its
//! statements then occupy a connection although the response goes nowhere. So set
//! [`h1_allow_half_closed(false)`](actix_web::HttpServer::h1_allow_half_closed), as above: the
//! handler is dropped, its transaction rolled back, and a running statement cancelled. Clients that
//! close only their sending side and wait for the response, which is rare, then get none. Over
//! HTTP/2, actix runs every handler to its end; a
//! [`statement_timeout`](tenantry::PoolOptions::statement_timeout) bounds that.
//!
//! # Operating a service
//!
//! [`ops_scope`] creates the routes for load balancers, orchestrators and Prometheus; the builder
//! [`OpsScope`] configures what they reveal, and to whom.
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
//! # Code that cannot be handed a value
//!
//! If a callback or a foreign trait stands between handler and database, [`tenantry::context`]
//! carries the handle as a task-local. [`ContextMiddleware`] sets it, for handlers and for the
//! streams that they return.
//!
//! # Features
//!
//! | feature | default | what it does |
//! |---|---|---|
//! | `ops` | on | [`ops_scope`] and [`OpsScope`] |
//! | `lint` | on | a parser for the lint of migrations, as the same feature of `tenantry` |
//! | `prometheus` | on | `/metrics` and the collector of the manager |
//! | `serve` | on | [`serve()`] and [`bind`]; needs tokio's signals |
//! | `tls` | on | TLS to the server, as the same feature of `tenantry` |
//! | `tls-native-roots` | off | likewise |
//!
//! This crate also turns on the default features of `tenantry`: turn them off with
//! `default-features = false` on both.
//!
//! It turns on no feature of actix-web: an application chooses cookies, compression, HTTP/2 and
//! macros itself.

mod authorize;
mod body;
mod bound;
mod context;
mod current_tenant;
mod db;
mod error;
mod gate;
mod lookup;
mod mapped;
mod middleware;
#[cfg(feature = "ops")]
mod ops;
mod optional;
mod problem;
mod rejection;
pub mod resolve;
mod respond;
mod response_for;
#[cfg(feature = "serve")]
mod serve;
mod served;
mod shared;
mod tenant_rejection;
mod tx;
mod tx_with;

pub use authorize::Authorize;
pub use bound::BoundTo;
pub use context::{ContextBody, ContextFuture, ContextMiddleware, ContextService};
pub use current_tenant::CurrentTenant;
pub use db::Db;
pub use error::DbError;
pub use mapped::Mapped;
pub use middleware::{TenantMiddleware, TenantService};
#[cfg(feature = "ops")]
pub use ops::{OpsScope, OpsService, RegisterError, ops_scope};
pub use optional::Optional;
pub use problem::Problem;
pub use rejection::Rejection;
pub use resolve::{Resolve, ResolveError};
pub use respond::{ProblemJson, Respond};
pub use response_for::{mapped_response_for, response_for};
#[cfg(feature = "serve")]
pub use serve::{Serve, bind, serve};
pub use shared::Shared;
pub use tenant_rejection::{TenantRejection, TxRejection};
/// The handle that the middleware puts into the extensions.
pub use tenantry::TenantDb;
/// A transaction of a tenant, as [`TenantDb::begin`] and [`Tx`] give it.
pub use tenantry::TenantTransaction;
pub use tenantry::admission::{AuthorizeError, NoTenant, RejectionKind, Switch};
#[cfg(feature = "serve")]
pub use tenantry::serve::{ServeEnd, ServeFuture, ServeOptions, ServeReport};
pub use tx::Tx;
pub use tx_with::TxWith;
