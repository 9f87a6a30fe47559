//! Reads what the middleware put into the extensions.

use actix_web::{HttpMessage, HttpRequest, web::Data};
use tenantry::{SharedDb, TenantDb, TenantManager, admission::NoTenant};

use crate::tenant_rejection::TenantRejection;

/// Returns the handle of the tenant, or an error if there is none.
pub(crate) fn required(request: &HttpRequest) -> Result<TenantDb, TenantRejection> {
    optional(request)?.ok_or(TenantRejection::NoTenant)
}

/// Returns the handle of the tenant; `None` if the middleware let the request pass without one.
///
/// A missing middleware is logged here and not when the response is created: inside an `Option`,
/// actix creates no response from the error.
pub(crate) fn optional(request: &HttpRequest) -> Result<Option<TenantDb>, TenantRejection> {
    let extensions = request.extensions();
    let db = extensions.get::<TenantDb>();
    if db.is_none() && extensions.get::<NoTenant>().is_none() {
        let missing = TenantRejection::MissingMiddleware;
        tracing::error!(path = request.path(), "{missing}");
        return Err(missing);
    }
    Ok(db.cloned())
}

/// Returns the shared schema of the innermost middleware, or of the manager in the application's
/// data.
pub(crate) fn shared(request: &HttpRequest) -> Result<SharedDb, TenantRejection> {
    let extensions = request.extensions();
    let of_tenant = extensions.get::<TenantDb>().map(TenantDb::shared);
    let of_manager = || {
        let in_data = request.app_data::<Data<TenantManager>>().map(|manager| manager.get_ref());
        let manager = request.app_data::<TenantManager>().or(in_data)?;
        Some(manager.shared().clone())
    };
    of_tenant.or_else(|| extensions.get::<SharedDb>().cloned()).or_else(of_manager).ok_or_else(
        || {
            let missing = TenantRejection::MissingManager;
            tracing::error!(path = request.path(), "{missing}");
            missing
        },
    )
}
