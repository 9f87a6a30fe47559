//! The tenant in scope while a request is served, including its response body.

mod body;
mod future;
mod layer;

pub use body::ContextBody;
pub use future::ContextFuture;
pub use layer::{ContextLayer, ContextService};
use tenantry::{TenantDb, context};

/// Runs a closure with the tenant in scope, if there is one.
fn within<T>(db: Option<&TenantDb>, work: impl FnOnce() -> T) -> T {
    match db {
        Some(db) => context::scope_sync(db.clone(), work),
        None => work(),
    }
}
