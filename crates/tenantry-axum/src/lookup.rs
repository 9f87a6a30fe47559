//! Reads what the layer put into the extensions.

use http::Extensions;
use tenantry::{SharedDb, TenantDb, TenantManager};
use tenantry_tower::NoTenant;

use crate::tenant_rejection::TenantRejection;

/// Returns the handle of the tenant, or an error if there is none.
pub(crate) fn required(extensions: &Extensions) -> Result<&TenantDb, TenantRejection> {
    optional(extensions)?.ok_or(TenantRejection::NoTenant)
}

/// Returns the handle of the tenant; `None` if the layer let the request pass without one.
pub(crate) fn optional(extensions: &Extensions) -> Result<Option<&TenantDb>, TenantRejection> {
    let db = extensions.get::<TenantDb>();
    if db.is_none() && extensions.get::<NoTenant>().is_none() {
        return Err(TenantRejection::MissingLayer);
    }
    Ok(db)
}

/// Returns the shared schema of the innermost layer, or of a manager in the extensions.
pub(crate) fn shared(extensions: &Extensions) -> Result<SharedDb, TenantRejection> {
    let of_tenant = extensions.get::<TenantDb>().map(TenantDb::shared);
    of_tenant
        .or_else(|| extensions.get::<SharedDb>().cloned())
        .or_else(|| extensions.get::<TenantManager>().map(|manager| manager.shared().clone()))
        .ok_or(TenantRejection::MissingManager)
}
