//! The resolvers of the core.

use actix_web::dev::ServiceRequest;
use tenantry::{
    TenantId,
    admission::{Host, PathPrefix, Subdomain},
};

use super::{Resolve, ResolveError, head::Head};

impl<F> Resolve for Host<F>
where
    F: Fn(&str) -> Option<TenantId> + Send + Sync + 'static,
{
    fn resolve(&self, request: &ServiceRequest) -> Result<Option<TenantId>, ResolveError> {
        self.read(&Head(request))
    }
}

impl Resolve for PathPrefix {
    fn resolve(&self, request: &ServiceRequest) -> Result<Option<TenantId>, ResolveError> {
        self.read(&Head(request))
    }
}

impl Resolve for Subdomain {
    fn resolve(&self, request: &ServiceRequest) -> Result<Option<TenantId>, ResolveError> {
        self.read(&Head(request))
    }
}
