//! What the layer has left in the extensions.

use http::Extensions;
use tenantry::TenantDb;
use tenantry_tower::NoTenant;

use crate::rejection::TenantRejection;

/// Returns the handle of the tenant, which there has to be.
pub(crate) fn required(extensions: &Extensions) -> Result<&TenantDb, TenantRejection> {
    optional(extensions)?.ok_or(TenantRejection::NoTenant)
}

/// Returns the handle of the tenant; `None` where the layer let the request pass without one.
pub(crate) fn optional(extensions: &Extensions) -> Result<Option<&TenantDb>, TenantRejection> {
    let db = extensions.get::<TenantDb>();
    if db.is_none() && extensions.get::<NoTenant>().is_none() {
        return Err(TenantRejection::MissingLayer);
    }
    Ok(db)
}
