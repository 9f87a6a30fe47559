use http::request::Parts;
use tenantry::TenantId;

use super::{Resolve, ResolveError};

/// A closure is a resolver. Its argument needs an explicit type:
///
/// ```
/// use http::request::Parts;
/// use tenantry::TenantId;
/// use tenantry_tower::{Resolve, ResolveError};
///
/// fn resolver() -> impl Resolve {
///     |parts: &Parts| -> Result<Option<TenantId>, ResolveError> {
///         let query = parts.uri.query().unwrap_or_default();
///         let Some(id) = query.strip_prefix("tenant=") else {
///             return Ok(None);
///         };
///         Ok(Some(TenantId::parse(id)?))
///     }
/// }
/// # let parts = http::Request::get("/?tenant=acme").body(()).unwrap().into_parts().0;
/// # assert_eq!(resolver().resolve(&parts).unwrap().unwrap().as_str(), "acme");
/// ```
#[diagnostic::do_not_recommend]
impl<F> Resolve for F
where
    F: Fn(&Parts) -> Result<Option<TenantId>, ResolveError> + Send + Sync + 'static,
{
    fn resolve(&self, parts: &Parts) -> Result<Option<TenantId>, ResolveError> {
        self(parts)
    }
}
