//! Sources of a request's tenant id.
//!
//! | resolver | reads | example |
//! |---|---|---|
//! | [`Header`] | a header | `x-tenant-id: acme` |
//! | [`Subdomain`] | the label before your domain | `acme.example.com` |
//! | [`Host`] | the whole host, for the tenants' own domains | `shop.acme.test` |
//! | [`PathPrefix`] | a segment of the path | `/t/acme/users` |
//! | [`Extension`] | a value from an outer middleware, such as a verified claim | |
//! | a closure | anything | |
//! | [`Or`] | one resolver, then another if the first finds nothing | [`Resolve::or`] |
//!
//! Resolvers do no I/O. All but [`Extension`] read input of the caller, which is [only a
//! hint](crate#a-tenant-id-from-outside-is-only-a-hint).
//!
//! # The path and the router
//!
//! [`PathPrefix`] does not change the path, so the routes need the prefix, too, such as with a
//! scope that has a parameter. The middleware sees the whole path wherever it is.
//!
//! ```text
//! web::scope("/t/{tenant}").wrap(TenantMiddleware::new(manager).resolver(PathPrefix::new("/t")))
//! ```
//!
//! The tenant is then one of the parameters of actix's `Path`, next to the route's own; extract
//! those by name, with a struct.

mod chain;
mod closure;
mod core;
mod extension;
mod head;
mod header;

use std::sync::Arc;

use actix_web::dev::ServiceRequest;
use tenantry::TenantId;

pub use chain::Or;
pub use extension::Extension;
pub(crate) use head::Head;
pub use header::Header;
pub use tenantry::admission::{Host, PathPrefix, ResolveError, Subdomain};

/// Reads the tenant id from a request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not read a tenant id from a request",
    label = "not a resolver",
    note = "use one of `resolve::{{Header, Subdomain, Host, PathPrefix, Extension}}`, or a closure `|request: &ServiceRequest| -> Result<Option<TenantId>, ResolveError>` whose argument has its type written out"
)]
pub trait Resolve: Send + Sync + 'static {
    /// Reads the tenant id; `None` if the request has none.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] if the source contains something that is not a tenant id. That differs from
    /// having none: the request is rejected even if a tenant is optional.
    fn resolve(&self, request: &ServiceRequest) -> Result<Option<TenantId>, ResolveError>;

    /// Runs another resolver if this one finds no tenant id.
    ///
    /// An error ends the chain. The first id found counts, whatever later resolvers would find: put
    /// the source that is hardest to forge first.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry_actix::{Resolve, resolve};
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
    fn resolve(&self, request: &ServiceRequest) -> Result<Option<TenantId>, ResolveError> {
        (**self).resolve(request)
    }
}
