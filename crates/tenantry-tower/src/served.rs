use http::{Method, Response, request::Parts, uri::PathAndQuery};
use tenantry::{Tenant, TenantDb, TransactionWatch};

/// An admitted request, until its response is ready.
pub(crate) struct Served {
    tenant: Tenant,
    watch: TransactionWatch,
    method: Method,
    path: Option<PathAndQuery>,
}

impl Served {
    /// Puts the handle into the request's extensions.
    pub(crate) fn new(db: &TenantDb, parts: &mut Parts) -> Self {
        let (db, watch) = db.watch_transactions();
        let (method, path) = (parts.method.clone(), parts.uri.path_and_query().cloned());
        let tenant = db.tenant().clone();
        parts.extensions.insert::<TenantDb>(db);
        Self { tenant, watch, method, path }
    }

    /// Puts the tenant into the response's extensions, unless an inner layer already has. If the
    /// response reports success, logs a warning for each transaction that was dropped without
    /// commit.
    pub(crate) fn answer<B>(self, response: &mut Response<B>) {
        if response.status().is_success() {
            let path = self.path.as_ref().map_or("", PathAndQuery::path);
            self.watch.succeeded_as(|| format!("{} {path}", self.method));
        }
        response.extensions_mut().get_or_insert(self.tenant);
    }
}
