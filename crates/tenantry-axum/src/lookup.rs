//! What the layer has left in the extensions.

use http::request::Parts;
use tenantry::TenantDb;
use tenantry_tower::NoTenant;

use crate::rejection::TenantRejection;

/// Returns the handle of the tenant, which there has to be.
pub(crate) fn required(parts: &Parts) -> Result<&TenantDb, TenantRejection> {
    optional(parts)?.ok_or(TenantRejection::NoTenant)
}

/// Returns the handle of the tenant; `None` where the layer let the request pass without one.
pub(crate) fn optional(parts: &Parts) -> Result<Option<&TenantDb>, TenantRejection> {
    let db = parts.extensions.get::<TenantDb>();
    if db.is_none() && parts.extensions.get::<NoTenant>().is_none() {
        return Err(TenantRejection::MissingLayer);
    }
    Ok(db)
}
