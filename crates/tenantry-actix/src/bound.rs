//! Binding of a session or token to a tenant.

use tenantry::{Error, TenantId, admission::CallerTenant};

/// The return type of a [`TenantMiddleware::bound_to`](crate::TenantMiddleware::bound_to) closure.
///
/// Implemented for `Option<TenantId>`, for `Result<Option<TenantId>, tenantry::Error>`, and for
/// futures of either. `M` distinguishes values from futures and is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which tenant the caller belongs to",
    note = "return `Option<TenantId>`, `Result<Option<TenantId>, tenantry::Error>`, or an `async move` block with either"
)]
pub trait BoundTo<M>: 'static {
    /// Returns the tenant that the caller's session or token belongs to.
    ///
    /// # Errors
    ///
    /// [`Error`] if it could not be determined.
    fn caller_tenant(self) -> impl Future<Output = Result<Option<TenantId>, Error>> + 'static;
}

/// Marks a value in [`BoundTo`].
#[doc(hidden)]
#[derive(Debug)]
pub enum Value {}

/// Marks a future in [`BoundTo`].
#[doc(hidden)]
#[derive(Debug)]
pub enum Later {}

#[diagnostic::do_not_recommend]
impl<T: CallerTenant + 'static> BoundTo<Value> for T {
    async fn caller_tenant(self) -> Result<Option<TenantId>, Error> {
        CallerTenant::caller_tenant(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Future<Output: CallerTenant> + 'static> BoundTo<Later> for T {
    async fn caller_tenant(self) -> Result<Option<TenantId>, Error> {
        CallerTenant::caller_tenant(self.await)
    }
}
