// A session's tenant as text.
//~ Option<&str>` does not say which tenant the caller belongs to
//~ return `Option<TenantId>`

use tenantry_axum::TenantLayer;

pub fn layer(manager: tenantry::TenantManager) -> TenantLayer {
    TenantLayer::new(manager).bound_to(|_| Some("acme"))
}
