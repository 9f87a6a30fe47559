//! The resolvers of the core.

use http::request::Parts;
use tenantry::{
    TenantId,
    admission::{Host, PathPrefix, Subdomain},
};

use super::{Resolve, ResolveError, head::Head};

impl<F> Resolve for Host<F>
where
    F: Fn(&str) -> Option<TenantId> + Send + Sync + 'static,
{
    fn resolve(&self, parts: &Parts) -> Result<Option<TenantId>, ResolveError> {
        self.read(&Head(parts))
    }
}

impl Resolve for PathPrefix {
    fn resolve(&self, parts: &Parts) -> Result<Option<TenantId>, ResolveError> {
        self.read(&Head(parts))
    }
}

impl Resolve for Subdomain {
    fn resolve(&self, parts: &Parts) -> Result<Option<TenantId>, ResolveError> {
        self.read(&Head(parts))
    }
}
