use http::{Method, Response, Uri, request::Parts};
use tenantry::{Tenant, TenantDb, TransactionWatch};

/// A request that was let in, until its response is there.
pub(crate) struct Served {
    tenant: Tenant,
    watch: TransactionWatch,
    method: Method,
    uri: Uri,
}

impl Served {
    /// Leaves the handle with the request.
    pub(crate) fn new(db: &TenantDb, parts: &mut Parts) -> Self {
        let (db, watch) = db.watch_transactions();
        let (method, uri) = (parts.method.clone(), parts.uri.clone());
        let tenant = db.tenant().clone();
        parts.extensions.insert::<TenantDb>(db);
        Self { tenant, watch, method, uri }
    }

    /// Leaves the tenant with the response, unless an inner layer has. If the response reports success, the log
    /// gets a warning of each transaction that was dropped without commit.
    pub(crate) fn answer<B>(self, response: &mut Response<B>) {
        if response.status().is_success() {
            self.watch.succeeded_as(|| format!("{} {}", self.method, self.uri.path()));
        }
        response.extensions_mut().get_or_insert(self.tenant);
    }
}
