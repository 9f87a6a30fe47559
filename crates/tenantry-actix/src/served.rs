use actix_web::{
    HttpMessage, HttpResponse,
    dev::{ServiceRequest, ServiceResponse},
};
use tenantry::{Tenant, TenantDb, TransactionWatch};

/// A request that was let in, until its response is there.
pub(crate) struct Served {
    tenant: Tenant,
    watch: TransactionWatch,
}

impl Served {
    /// Leaves the handle with the request.
    pub(crate) fn new(db: &TenantDb, request: &ServiceRequest) -> Self {
        let (db, watch) = db.watch_transactions();
        let tenant = db.tenant().clone();
        request.extensions_mut().insert::<TenantDb>(db);
        Self { tenant, watch }
    }

    /// Leaves the tenant with the response, unless an inner middleware has. If the response reports success,
    /// the log gets a warning of each transaction that was dropped without commit.
    pub(crate) fn answer<B>(self, response: &mut ServiceResponse<B>) {
        if response.status().is_success() {
            let request = response.request();
            self.watch.succeeded_as(|| format!("{} {}", request.method(), request.path()));
        }
        leave(response.response_mut(), self.tenant);
    }
}

fn leave<B>(response: &mut HttpResponse<B>, tenant: Tenant) {
    let mut extensions = response.extensions_mut();
    if !extensions.contains::<Tenant>() {
        extensions.insert(tenant);
    }
}
