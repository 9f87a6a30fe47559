use http::{Method, Response, request::Parts, uri::PathAndQuery};
use tenantry::{Tenant, TenantDb, TransactionWatch};

/// A request that was let in, until its response is there.
pub(crate) struct Served {
    tenant: Tenant,
    watch: TransactionWatch,
    method: Method,
    path: Option<PathAndQuery>,
}

impl Served {
    /// Leaves the handle with the request.
    pub(crate) fn new(db: &TenantDb, parts: &mut Parts) -> Self {
        let (db, watch) = db.watch_transactions();
        let (method, path) = (parts.method.clone(), parts.uri.path_and_query().cloned());
        let tenant = db.tenant().clone();
        parts.extensions.insert::<TenantDb>(db);
        Self { tenant, watch, method, path }
    }

    /// Leaves the tenant with the response, unless an inner layer has. If the response reports success, the log
    /// gets a warning of each transaction that was dropped without commit.
    pub(crate) fn answer<B>(self, response: &mut Response<B>) {
        if response.status().is_success() {
            let path = self.path.as_ref().map_or("", PathAndQuery::path);
            self.watch.succeeded_as(|| format!("{} {path}", self.method));
        }
        response.extensions_mut().get_or_insert(self.tenant);
    }
}
