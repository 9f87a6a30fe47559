use std::{fmt, marker::PhantomData};

use actix_web::{HttpMessage, dev::ServiceRequest};
use tenantry::TenantId;

use super::{Resolve, ResolveError};

/// Reads the tenant id from a value that an outer middleware put into the request's extensions.
///
/// Use it for the claims of a token: a caller that cannot forge the token cannot choose another
/// tenant. A request whose extensions lack the value has no tenant. If the middleware that inserts
/// it is inside instead of outside, no request has one.
///
/// # Examples
///
/// ```
/// use tenantry_actix::resolve::Extension;
///
/// struct Claims {
///     tenant: Option<String>,
/// }
///
/// let resolver = Extension::new(|claims: &Claims| claims.tenant.as_deref());
/// ```
pub struct Extension<T, F> {
    read: F,
    value: PhantomData<fn(&T)>,
}

impl<T, F> Extension<T, F>
where
    T: 'static,
    F: Fn(&T) -> Option<&str> + Send + Sync + 'static,
{
    /// Reads the id from a value of type `T` with a closure.
    pub fn new(read: F) -> Self {
        let value = PhantomData;
        Self { read, value }
    }
}

impl<T, F> Resolve for Extension<T, F>
where
    T: 'static,
    F: Fn(&T) -> Option<&str> + Send + Sync + 'static,
{
    fn resolve(&self, request: &ServiceRequest) -> Result<Option<TenantId>, ResolveError> {
        let extensions = request.extensions();
        let text = extensions.get::<T>().and_then(&self.read);
        Ok(text.map(TenantId::parse).transpose()?)
    }
}

impl<T, F: Clone> Clone for Extension<T, F> {
    fn clone(&self) -> Self {
        Self { read: self.read.clone(), value: PhantomData }
    }
}

impl<T, F> fmt::Debug for Extension<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extension")
            .field("value", &std::any::type_name::<T>())
            .finish_non_exhaustive()
    }
}
