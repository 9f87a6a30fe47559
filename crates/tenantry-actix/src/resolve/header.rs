use actix_web::{dev::ServiceRequest, http::header::HeaderName};
use tenantry::{TenantId, admission};

use super::{Resolve, ResolveError, head::Head};

/// Reads the tenant id from a header; `x-tenant-id` by default.
///
/// The header may occur twice with the same value. If the values differ, if a proxy has joined them
/// with a comma, or if the value is empty, the request is malformed.
///
/// # Examples
///
/// ```
/// use tenantry_actix::resolve::Header;
///
/// let default = Header::default();
/// let own = Header::from_static("x-org");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    inner: admission::Header,
}

impl Header {
    /// Reads this header.
    #[must_use]
    pub fn new(name: HeaderName) -> Self {
        // The name of a `HeaderName` is in lower case.
        Self { inner: admission::Header::new(name.as_str().to_owned()) }
    }

    /// Reads the header of this name, which must be in lower case.
    ///
    /// # Panics
    ///
    /// If it is not a header name, like [`HeaderName::from_static`].
    #[must_use]
    pub fn from_static(name: &'static str) -> Self {
        Self::new(HeaderName::from_static(name))
    }
}

impl Resolve for Header {
    fn resolve(&self, request: &ServiceRequest) -> Result<Option<TenantId>, ResolveError> {
        self.inner.read(&Head(request))
    }
}
