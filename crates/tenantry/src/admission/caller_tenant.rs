use crate::{error::Error, tenant::TenantId};

/// The tenant that the caller's session or token belongs to, as an application may report it.
///
/// Implemented for `Option<TenantId>`, and for `Result<Option<TenantId>, Error>` where the look-up can
/// fail.
pub trait CallerTenant {
    /// Returns the tenant. `None` when no session or token names one.
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
