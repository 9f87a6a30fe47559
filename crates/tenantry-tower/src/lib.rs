//! A tower middleware that determines a request's tenant. Before a handler runs, [`TenantLayer`]
//! puts the tenant's database handle into the request's extensions.
//!
//! It works with everything that is built on [tower](tower_layer) and [`http`]: axum, hyper, tonic.
//! The crate `tenantry-axum` adds extractors for axum.
//!
//! # What happens to a request
//!
//! | step | who | when it fails |
//! |---|---|---|
//! | check the head: one host, a path in normal form | [`check_head`](tenantry::admission::check_head) | 400 |
//! | read the tenant id | the [resolver](resolve): header, host, path, claim; no I/O | 400 |
//! | is the caller's session or token of this tenant? | the [bound_to](TenantLayer::bound_to) closure, if there is one | 403 |
//! | look the tenant up | the manager's catalog, through its cache | 404 |
//! | may this caller use it? | the [authorize](TenantLayer::authorize) hook, if there is one | 403 |
//! | is it suspended? | told to callers who may use it | 403 |
//! | insert the [`TenantDb`] into the extensions | no connection is taken | |
//! | call the inner service | its first statement takes a connection | |
//!
//! If the look-up fails, for example because the database is unreachable, the response is a 503
//! with `Retry-After`; a setup that cannot work is a 500. An unknown, suspended or malformed tenant
//! never reaches the inner service. See [`Rejection`] for the response and how to replace it.
//!
//! # A tenant id from outside is only a hint
//!
//! Anyone can send any header, host name or path. The layer ensures that the tenant *exists*, not
//! that the caller *belongs* to it. So do one of these:
//!
//! - take the id from something that an earlier layer has verified, such as the claims of a token:
//!   [`resolve::Extension`];
//! - compare it with that in [`TenantLayer::bound_to`], which every application with sessions or tokens
//!   should do, or in [`TenantLayer::authorize`];
//! - let a proxy that you control set the header, and remove it from what comes from outside.
//!
//! # Examples
//!
//! ```no_run
//! use http::request::Parts;
//! use tenantry::TenantDb;
//! use tenantry_tower::{AuthorizeError, Resolve, TenantLayer, resolve};
//!
//! /// Inserted into the extensions by an authentication layer.
//! #[derive(Clone)]
//! struct User {
//!     tenant: String,
//! }
//!
//! # fn example(manager: tenantry::TenantManager) {
//! let layer = TenantLayer::new(manager)
//!     .resolver(resolve::Subdomain::of("example.com").or(resolve::Header::default()))
//!     .authorize(|db: &TenantDb, parts: &Parts| {
//!         let user = parts.extensions.get::<User>();
//!         let belongs = user.is_some_and(|user| user.tenant == db.tenant().id().as_str());
//!         async move { if belongs { Ok(()) } else { Err(AuthorizeError::Denied) } }
//!     });
//! # }
//! ```
//!
//! # What outer layers can see
//!
//! | where | what | when |
//! |---|---|---|
//! | the field `tenant` of the current span, if the span declares it | the id | the request has a valid one, whether rejected or not |
//! | the response's extensions | the [`Tenant`](tenantry::Tenant) | the request was admitted |
//!
//! So the span of an outer tracing layer names the tenant, and access logs and counters can read it
//! from the response. With tower-http's `TraceLayer`:
//!
//! ```text
//! TraceLayer::new_for_http().make_span_with(|request: &Request<_>| {
//!     tracing::info_span!("request", path = request.uri().path(), tenant = tracing::field::Empty)
//! })
//! ```
//!
//! With nested layers, the response contains the tenant of the innermost one.
//!
//! # Where to put it
//!
//! Put it inside everything that should see rejections (tracing, CORS, compression) and inside
//! whatever the resolver, `bound_to` or the hook reads (sessions, authentication); outside of
//! everything that needs a tenant. A CORS preflight has no tenant header, so the layer that answers
//! it must be outside.
//!
//! Layers nest: the innermost one decides. An [optional](TenantLayer::optional) one that finds no
//! tenant removes the handle of an outer one.

mod authorize;
mod bound;
mod context;
mod future;
mod gate;
mod layer;
mod problem;
mod rejection;
pub mod resolve;
mod respond;
mod served;
mod service;

pub use authorize::Authorize;
pub use bound::BoundTo;
pub use context::{ContextBody, ContextFuture, ContextLayer, ContextService};
pub use future::ResponseFuture;
pub use layer::TenantLayer;
pub use problem::Problem;
pub use rejection::Rejection;
pub use resolve::{Resolve, ResolveError};
pub use respond::{ProblemJson, Respond};
pub use service::TenantService;
/// The handle that the layer puts into the extensions.
pub use tenantry::TenantDb;
pub use tenantry::admission::{AuthorizeError, NoTenant, RejectionKind, Switch};
