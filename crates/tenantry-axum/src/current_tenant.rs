use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use tenantry::Tenant;

use crate::{lookup, tenant_rejection::TenantRejection};

/// Extracts the request's tenant: its id and its catalog record.
///
/// `Option<CurrentTenant>` is `None` if an [optional](crate::TenantLayer::optional) layer found no
/// tenant, and is rejected outside of any layer.
///
/// # Examples
///
/// ```no_run
/// use tenantry_axum::CurrentTenant;
///
/// async fn greet(CurrentTenant(tenant): CurrentTenant) -> String {
///     format!("hello {}", tenant.id())
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(greet));
/// ```
#[derive(Debug, Clone)]
pub struct CurrentTenant(pub Tenant);

impl<S: Sync> FromRequestParts<S> for CurrentTenant {
    type Rejection = TenantRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        lookup::required(&parts.extensions).map(|db| Self(db.tenant().clone()))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for CurrentTenant {
    type Rejection = TenantRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(lookup::optional(&parts.extensions)?.map(|db| Self(db.tenant().clone())))
    }
}
