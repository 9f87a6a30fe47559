use crate::{error::Error, tenant::TenantId};

/// The tenant of the caller's session or token, as reported by an application.
///
/// Implemented for `Option<TenantId>`, and for `Result<Option<TenantId>, Error>` if the look-up can
/// fail.
pub trait CallerTenant {
    /// Returns the tenant. `None` if no session or token contains one.
    ///
    /// # Errors
    ///
    /// [`Error`] when it could not be determined, such as when the session store is down.
    fn caller_tenant(self) -> Result<Option<TenantId>, Error>;
}

impl CallerTenant for Option<TenantId> {
    fn caller_tenant(self) -> Result<Option<TenantId>, Error> {
        Ok(self)
    }
}

impl CallerTenant for Result<Option<TenantId>, Error> {
    fn caller_tenant(self) -> Result<Option<TenantId>, Error> {
        self
    }
}
