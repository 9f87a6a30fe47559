//! Framework-independent request handling for adapters of web frameworks.
//!
//! Applications do not need this module: `tenantry-tower` and `tenantry-actix` are built on it, and
//! an adapter for another framework can be, too. Such an adapter
//!
//! 1. exposes the head of a request as a [`RequestHead`] to resolvers: [`Header`], [`Host`],
//!    [`Subdomain`], [`PathPrefix`] or a custom one;
//! 2. asks a [`Gate`](crate::gate::Gate) to find the tenant and to admit or reject the caller;
//! 3. attaches the handle, or [`NoTenant`], to the request;
//! 4. converts a [`Rejection`], or the [`Failure`] of a handler, into a response: a status, a
//!    [`Problem`] document, `Retry-After`.
//!
//! The gate [checks](check_head) the head and calls the resolver. [`Presence`] decides whether a
//! missing tenant id is allowed, and [`Target`] does so if operators may [`Switch`] to another
//! tenant. The gate then [records](record_tenant) the id in the current span, compares it with the
//! tenant of the caller's session or token ([`check_bound`]), asks the
//! [manager](crate::TenantManager::tenant_to_authorize) and the application's hook
//! ([`AuthorizeError`]), and lets [`check_authorized`] decide. Everything in this module is pure.
//!
//! # Examples
//!
//! ```
//! use std::collections::HashMap;
//! use tenantry::admission::{Header, Presence, RejectionKind, RequestHead, Subdomain};
//!
//! struct Request {
//!     headers: HashMap<&'static str, &'static str>,
//! }
//!
//! impl RequestHead for Request {
//!     fn header_values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
//!         self.headers.get(name).map(|value| value.as_bytes()).into_iter()
//!     }
//!
//!     fn path(&self) -> &str {
//!         "/"
//!     }
//!
//!     fn authority(&self) -> Option<&str> {
//!         None
//!     }
//! }
//!
//! let request = Request { headers: HashMap::from([("host", "acme.example.com")]) };
//! let id = Subdomain::of("example.com").read(&request);
//! assert_eq!(Presence::Required.check(id).unwrap().unwrap().as_str(), "acme");
//!
//! let id = Header::default().read(&request);
//! let rejection = Presence::Required.check(id).unwrap_err();
//! assert_eq!(rejection.kind(), RejectionKind::Missing);
//! assert_eq!(rejection.kind().status_code(), 400);
//! ```

mod check_head;
mod head;
mod header;
mod host;
mod path;
mod resolve_error;
mod subdomain;

mod authorize_error;
mod authorized;
mod bound;
mod caller_tenant;
mod no_tenant;
mod presence;
mod span;
mod switch;

mod failure;
mod kind;
mod problem;
mod rejection;
mod statement;

pub use authorize_error::AuthorizeError;
pub use authorized::check_authorized;
pub use bound::check_bound;
pub use caller_tenant::CallerTenant;
pub use check_head::check_head;
pub use failure::Failure;
pub use head::RequestHead;
pub use header::Header;
pub use host::Host;
pub use kind::RejectionKind;
pub use no_tenant::NoTenant;
pub use path::PathPrefix;
pub use presence::Presence;
pub use problem::Problem;
pub use rejection::Rejection;
pub use resolve_error::ResolveError;
pub use span::record_tenant;
pub use statement::statement_problem;
pub use subdomain::Subdomain;
pub use switch::{Switch, Target};
