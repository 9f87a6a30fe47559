// A hook that decides at once, without a future.
//~ does not decide whether a caller may use a tenant
//~ returns an `async move` block with `Result<(), AuthorizeError>`

use axum::http::request::Parts;
use tenantry_axum::{AuthorizeError, TenantDb, TenantLayer};

fn hook(_: &TenantDb, _: &Parts) -> Result<(), AuthorizeError> {
    Ok(())
}

pub fn layer(manager: tenantry::TenantManager) -> TenantLayer {
    TenantLayer::new(manager).authorize(hook)
}
