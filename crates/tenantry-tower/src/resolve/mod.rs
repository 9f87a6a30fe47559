//! Where a request says which tenant it is for.
//!
//! | resolver | reads | example |
//! |---|---|---|
//! | [`Header`] | a header | `x-tenant-id: acme` |
//! | [`Subdomain`] | the label before a domain of yours | `acme.example.com` |
//! | [`Host`] | the whole host, for domains that are the tenants' own | `shop.acme.test` |
//! | [`PathPrefix`] | a segment of the path | `/t/acme/users` |
//! | [`Extension`] | what an earlier layer has found out, such as a verified claim | |
//! | a closure | anything | |
//! | [`Or`] | one, and another one where the first finds nothing | [`Resolve::or`] |
//!
//! Resolvers do no I/O. Everything but [`Extension`] reads what the caller has written, which is
//! [only a hint](crate#a-tenant-id-from-outside-is-only-a-hint).
//!
//! # The path and a router
//!
//! [`PathPrefix`] leaves the path as it is, so the routes have to have the prefix too. In axum, nest
//! them and put the layer around that: outside it sees the whole path, inside the routes do not.
//!
//! ```text
//! Router::new().nest("/t/{tenant}", routes).layer(TenantLayer::new(manager).resolver(PathPrefix::new("/t")))
//! ```
//!
//! The tenant is then one of the parameters of axum's `Path` beside the route's own; take those by
//! name, with a struct.

mod chain;
mod closure;
mod core;
mod extension;
mod head;
mod header;

use std::sync::Arc;

use http::request::Parts;
use tenantry::TenantId;

pub use chain::Or;
pub use extension::Extension;
pub(crate) use head::Head;
pub use header::Header;
pub use tenantry::admission::{Host, PathPrefix, ResolveError, Subdomain};

/// Reads from a request which tenant it is for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not read a tenant id from a request",
    label = "not a resolver",
    note = "use one of `resolve::{{Header, Subdomain, Host, PathPrefix, Extension}}`, or a closure `|parts: &Parts| -> Result<Option<TenantId>, ResolveError>` whose argument has its type written out"
)]
pub trait Resolve: Send + Sync + 'static {
    /// Reads the tenant id. `None` when the request has none.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] when something is there that is not a tenant id. That is never the same as
    /// none at all: the request is refused even where a tenant is optional.
    fn resolve(&self, parts: &Parts) -> Result<Option<TenantId>, ResolveError>;

    /// Asks another resolver when this one finds no tenant id.
    ///
    /// An error ends the chain. The first id found counts, whatever later resolvers would find: put
    /// what is harder to forge first.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry_tower::{Resolve, resolve};
    ///
    /// let resolver = resolve::Subdomain::of("example.com").or(resolve::Header::default());
    /// # let _: Box<dyn Resolve> = Box::new(resolver);
    /// ```
    fn or<R: Resolve>(self, other: R) -> Or<Self, R>
    where
        Self: Sized,
    {
        Or::new(self, other)
    }
}

impl<R: Resolve + ?Sized> Resolve for Arc<R> {
    fn resolve(&self, parts: &Parts) -> Result<Option<TenantId>, ResolveError> {
        (**self).resolve(parts)
    }
}
