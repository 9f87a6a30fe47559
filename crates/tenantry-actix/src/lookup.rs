//! What the middleware has left in the extensions.

use actix_web::{HttpMessage, HttpRequest};
use tenantry::{TenantDb, admission::NoTenant};

use crate::tenant_rejection::TenantRejection;

/// Returns the handle of the tenant, which there has to be.
pub(crate) fn required(request: &HttpRequest) -> Result<TenantDb, TenantRejection> {
    optional(request)?.ok_or(TenantRejection::NoTenant)
}

/// Returns the handle of the tenant; `None` where the middleware let the request pass without one.
///
/// A middleware that is missing is told to the log here and not when the response is made: inside of
/// an `Option` actix makes none of the error.
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
