//! A tenant in scope, for code that cannot be handed a value.
//!
//! Passing a [`TenantDb`] is better: the compiler then sees where the tenant goes. Where a callback
//! or a trait of somebody else stands in between, [`scope`] puts the handle beside the code and
//! [`current`] finds it. A scope belongs to one task; [`tokio::spawn`] does not inherit it, so that
//! nothing runs for a tenant by accident: begin a scope in the new task.

use crate::{
    db::TenantDb,
    error::{Error, ErrorKind},
};

tokio::task_local! {
    static CURRENT: TenantDb;
}

/// Runs a future with a tenant in scope. Scopes nest, and those of other tasks are not seen.
///
/// # Examples
///
/// ```no_run
/// # async fn example(db: tenantry::TenantDb) -> Result<(), tenantry::Error> {
/// use tenantry::context;
///
/// context::scope(db, async {
///     assert_eq!(context::current()?.tenant().id().as_str(), "acme");
///     Ok(())
/// })
/// .await
/// # }
/// ```
pub async fn scope<F: Future>(db: TenantDb, future: F) -> F::Output {
    CURRENT.scope(db, future).await
}

/// Runs a closure with a tenant in scope: for code that polls a future, a stream or a response body itself.
///
/// # Examples
///
/// ```no_run
/// # fn example(db: tenantry::TenantDb) {
/// use tenantry::context;
///
/// let id = context::scope_sync(db, || context::current().map(|db| db.tenant().id().clone()));
/// # }
/// ```
pub fn scope_sync<T>(db: TenantDb, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(db, work)
}

/// Returns the tenant in scope.
///
/// # Errors
///
/// [`ErrorKind::NoTenant`] outside of any scope.
pub fn current() -> Result<TenantDb, Error> {
    CURRENT.try_with(Clone::clone).map_err(|_| {
        Error::new(ErrorKind::NoTenant, "looking for a tenant outside of context::scope")
    })
}
