use std::fmt;

use super::{Answer, Ask, Catalog};
use crate::{
    error::{Error, ErrorKind},
    tenant::{TenantId, TenantRecord},
};

type Resolve = dyn Fn(TenantId) -> Answer<'static, Option<TenantRecord>> + Send + Sync;

/// A catalog backed by a closure, for tenants that are listed in another service.
///
/// It cannot list all tenants. Up to 100 look-ups run at a time.
///
/// # Examples
///
/// ```
/// use tenantry::{CatalogFn, TenantRecord};
///
/// let catalog = CatalogFn::new(|id| async move {
///     Ok(id.as_str().starts_with("eu-").then(|| TenantRecord::new(id)))
/// });
/// ```
pub struct CatalogFn(Box<Resolve>);

impl CatalogFn {
    /// Creates a catalog from a closure that looks up one tenant.
    pub fn new<F, R>(resolve: F) -> Self
    where
        F: Fn(TenantId) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<TenantRecord>, Error>> + Send + 'static,
    {
        Self(Box::new(move |id| Box::pin(resolve(id))))
    }
}

impl Catalog for CatalogFn {
    fn resolve<'a>(&'a self, _: Ask<'a>, id: &'a TenantId) -> Answer<'a, Option<TenantRecord>> {
        (self.0)(id.clone())
    }

    fn list<'a>(&'a self, _: Ask<'a>) -> Answer<'a, Vec<TenantRecord>> {
        let error = Error::new(ErrorKind::Catalog, "listing tenants: a closure cannot list");
        Box::pin(std::future::ready(Err(error)))
    }

    fn takes_connections(&self) -> bool {
        false
    }
}

impl fmt::Debug for CatalogFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogFn").finish_non_exhaustive()
    }
}
