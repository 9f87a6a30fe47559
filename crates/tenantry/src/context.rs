//! Task-scoped access to a tenant, for code that cannot take the handle as an argument.
//!
//! Prefer to pass a [`TenantDb`]: the compiler then checks where the tenant goes. If a third-party
//! callback or trait is in between, put the handle in scope with [`scope`] and read it with
//! [`current`]. A scope belongs to one task; [`tokio::spawn`] does not inherit it, so nothing runs
//! for a tenant by accident: open a new scope in the spawned task.

use crate::{
    db::TenantDb,
    error::{Error, ErrorKind},
};

tokio::task_local! {
    static CURRENT: TenantDb;
}

/// Runs a future with a tenant in scope. Scopes nest and are not visible to other tasks.
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

/// Runs a closure with a tenant in scope, for code that polls a future, a stream or a response body
/// itself.
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
