// A hook that decides at once, without a future.
//~ does not decide whether a caller may use a tenant
//~ returns an `async move` block with `Result<(), AuthorizeError>`

use actix_web::dev::ServiceRequest;
use tenantry_actix::{AuthorizeError, TenantDb, TenantMiddleware};

fn hook(_: &TenantDb, _: &ServiceRequest) -> Result<(), AuthorizeError> {
    Ok(())
}

pub fn middleware(manager: tenantry::TenantManager) -> TenantMiddleware {
    TenantMiddleware::new(manager).authorize(hook)
}
