//! axum extractors for the database of the tenant that a request is for.
//!
//! A [`TenantLayer`] finds out which tenant that is and refuses requests without a valid one;
//! handlers then ask for what they need:
//!
//! | extractor | what it gives | takes a connection |
//! |---|---|---|
//! | [`Db`] | [`TenantDb`], on which statements run | for each statement |
//! | [`Tx`] | a transaction that has begun | until the handler ends or commits |
//! | [`CurrentTenant`] | the tenant: id and what the catalog records | no |
//! | `Option` of each | nothing, where an [optional](TenantLayer::optional) layer found no tenant | |
//!
//! All of them are newtypes to destructure, as axum's own are. A handler fails with [`DbError`], into
//! which `?` turns every error of sqlx and of tenantry, and whose response never has the database's
//! words in it.
//!
//! # Examples
//!
//! ```no_run
//! use axum::{Json, Router, http::StatusCode, routing::get};
//! use tenantry::TenantManager;
//! use tenantry_axum::{CurrentTenant, Db, DbError, TenantLayer, Tx};
//!
//! fn app(manager: TenantManager) -> Router {
//!     Router::new()
//!         .route("/users", get(list_users).post(create_user))
//!         .route("/tenant", get(show_tenant))
//!         .layer(TenantLayer::new(manager))
//!         // What is added after the layer needs no tenant.
//!         .route("/health", get(async || "ok"))
//! }
//!
//! async fn list_users(Db(db): Db) -> Result<Json<Vec<String>>, DbError> {
//!     Ok(Json(sqlx::query_scalar("select name from users").fetch_all(&db).await?))
//! }
//!
//! async fn create_user(Tx(mut tx): Tx, Json(name): Json<String>) -> Result<StatusCode, DbError> {
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
//! [`Router::layer`](https://docs.rs/axum/0.8/axum/struct.Router.html#method.layer) covers the routes
//! that were added before it. A path that no route matches is covered as well, by the fallback:
//! there a request without a tenant gets 400 rather than 404. Use `route_layer` to have it the other
//! way round.
//!
//! A handler that asks for a tenant outside of any layer is a mistake in the program: the client gets
//! a plain 500, and the log says which layer is missing.
//!
//! # Code that cannot be handed a value
//!
//! Where a callback or somebody else's trait stands between handler and database,
//! [`tenantry::context`] carries the handle beside the code. A middleware puts it there for all
//! handlers:
//!
//! ```no_run
//! use axum::{Router, extract::Request, middleware::{Next, from_fn}, response::Response};
//! use tenantry::context;
//! use tenantry_axum::{Db, TenantLayer};
//!
//! async fn in_scope(Db(db): Db, request: Request, next: Next) -> Response {
//!     context::scope(db, next.run(request)).await
//! }
//!
//! # fn example(routes: Router, manager: tenantry::TenantManager) -> Router {
//! routes.layer(from_fn(in_scope)).layer(TenantLayer::new(manager))
//! # }
//! ```

mod current_tenant;
mod db;
mod error;
mod lookup;
mod rejection;
mod tx;

pub use current_tenant::CurrentTenant;
pub use db::Db;
pub use error::DbError;
pub use rejection::{TenantRejection, TxRejection};
pub use tenantry_tower::{
    Authorize, AuthorizeError, NoTenant, Problem, ProblemJson, Rejection, RejectionKind, Resolve,
    ResolveError, Respond, TenantDb, TenantLayer, TenantService, resolve,
};
pub use tx::Tx;

/// The code of the repository's README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
