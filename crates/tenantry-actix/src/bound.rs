//! Whose session or token is it?

use std::{fmt, pin::Pin, sync::Arc};

use actix_web::dev::ServiceRequest;
use tenantry::{
    Error, TenantId,
    admission::{CallerTenant, check_bound},
};

use crate::rejection::Rejection;

/// What a [`TenantMiddleware::bound_to`](crate::TenantMiddleware::bound_to) closure returns.
///
/// Implemented for `Option<TenantId>`, for `Result<Option<TenantId>, tenantry::Error>`, and for futures
/// of either. `M` tells values from futures and is inferred. Futures run on the worker that has the
/// request and need not be `Send`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which tenant the caller belongs to",
    note = "return `Option<TenantId>`, `Result<Option<TenantId>, tenantry::Error>`, or an `async move` block with either"
)]
pub trait BoundTo<M>: 'static {
    /// Returns the tenant that the caller's session or token belongs to.
    ///
    /// # Errors
    ///
    /// [`Error`] when it could not be determined.
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

/// Closures that each name the tenant of the caller. All of them have to name the requested one.
#[derive(Clone, Default)]
pub(crate) struct Bounds(Vec<Arc<Bound>>);

type Bound = dyn Fn(&ServiceRequest) -> Caller + Send + Sync;
type Caller = Pin<Box<dyn Future<Output = Result<Option<TenantId>, Error>>>>;

impl Bounds {
    pub(crate) fn add<R, M>(
        &mut self,
        caller: impl Fn(&ServiceRequest) -> R + Send + Sync + 'static,
    ) where
        R: BoundTo<M>,
    {
        self.0.push(Arc::new(move |request| Box::pin(caller(request).caller_tenant())));
    }

    /// Checks that the caller belongs to this tenant.
    pub(crate) async fn check(
        &self,
        id: &TenantId,
        request: &ServiceRequest,
    ) -> Result<(), Rejection> {
        for bound in &self.0 {
            check_bound(id, bound(request).await)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.len().fmt(f)
    }
}
