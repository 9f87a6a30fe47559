// The name of a header is not a resolver.
//~ error[E0277]: `&str` does not read a tenant id from a request
//~ not a resolver
//~ resolve::{Header, Subdomain, Host, PathPrefix, Extension}

use tenantry_axum::TenantLayer;

pub fn layer(manager: tenantry::TenantManager) -> TenantLayer {
    TenantLayer::new(manager).resolver("x-tenant-id")
}
