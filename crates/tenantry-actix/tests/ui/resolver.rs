// A resolver of the other adapter, or no resolver at all.
//~ does not read a tenant id from a request
//~ use one of `resolve::{Header, Subdomain, Host, PathPrefix, Extension}`

use tenantry_actix::TenantMiddleware;

pub fn middleware(manager: tenantry::TenantManager) -> TenantMiddleware {
    TenantMiddleware::new(manager).resolver("x-tenant-id")
}
