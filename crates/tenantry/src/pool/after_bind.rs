//! The application hook for sessions that were bound to a tenant.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use sqlx::PgConnection;

use crate::tenant::Tenant;

/// Sets up a session for a tenant.
pub(crate) type AskAfterBind = Arc<
    dyn for<'c> Fn(&'c mut PgConnection, &'c Tenant) -> BoxFuture<'c, sqlx::Result<()>>
        + Send
        + Sync,
>;

/// The hook and its tenant argument.
#[derive(Clone)]
pub(crate) struct AfterBind {
    tenant: Tenant,
    hook: AskAfterBind,
}

impl AfterBind {
    pub(crate) fn new(tenant: Tenant, hook: AskAfterBind) -> Self {
        Self { tenant, hook }
    }

    /// Returns `true` if the hook would receive the same argument.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.tenant.says_the_same(&other.tenant)
    }

    pub(super) fn run<'c>(&'c self, conn: &'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<()>> {
        (self.hook)(conn, &self.tenant)
    }
}

impl fmt::Debug for AfterBind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterBind").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
