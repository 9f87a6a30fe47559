use actix_web::dev::ServiceRequest;
use tenantry::TenantId;

use super::{Resolve, ResolveError};

/// A closure is a resolver. Its argument needs an explicit type:
///
/// ```
/// use actix_web::dev::ServiceRequest;
/// use tenantry::TenantId;
/// use tenantry_actix::{Resolve, ResolveError};
///
/// fn resolver() -> impl Resolve {
///     |request: &ServiceRequest| -> Result<Option<TenantId>, ResolveError> {
///         let Some(id) = request.query_string().strip_prefix("tenant=") else {
///             return Ok(None);
///         };
///         Ok(Some(TenantId::parse(id)?))
///     }
/// }
/// # let request = actix_web::test::TestRequest::get().uri("/?tenant=acme").to_srv_request();
/// # assert_eq!(resolver().resolve(&request).unwrap().unwrap().as_str(), "acme");
/// ```
#[diagnostic::do_not_recommend]
impl<F> Resolve for F
where
    F: Fn(&ServiceRequest) -> Result<Option<TenantId>, ResolveError> + Send + Sync + 'static,
{
    fn resolve(&self, request: &ServiceRequest) -> Result<Option<TenantId>, ResolveError> {
        self(request)
    }
}
