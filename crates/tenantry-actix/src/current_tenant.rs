use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenantry::{Tenant, TenantDb};

use crate::{
    lookup,
    optional::FromTenant,
    tenant_rejection::{TenantRejection, TxRejection},
};

/// Extracts the request's tenant: its id and its catalog record.
///
/// Behind an [optional](crate::TenantMiddleware::optional) middleware, use
/// [`Optional<CurrentTenant>`](crate::Optional).
///
/// # Examples
///
/// ```no_run
/// use tenantry_actix::CurrentTenant;
///
/// async fn greet(CurrentTenant(tenant): CurrentTenant) -> String {
///     format!("hello {}", tenant.id())
/// }
/// # let _ = actix_web::App::new().route("/", actix_web::web::get().to(greet));
/// ```
#[derive(Debug, Clone)]
pub struct CurrentTenant(pub Tenant);

impl FromRequest for CurrentTenant {
    type Error = TenantRejection;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(lookup::required(request).map(|db| Self(db.tenant().clone())))
    }
}

impl FromTenant for CurrentTenant {
    async fn from_tenant(db: TenantDb) -> Result<Self, TxRejection> {
        Ok(Self(db.tenant().clone()))
    }
}
