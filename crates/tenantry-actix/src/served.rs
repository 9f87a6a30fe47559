use actix_web::{
    HttpMessage, HttpResponse,
    dev::{ServiceRequest, ServiceResponse},
};
use tenantry::{Tenant, TenantDb, TransactionWatch};

/// An admitted request, until its response is ready.
pub(crate) struct Served {
    tenant: Tenant,
    watch: TransactionWatch,
}

impl Served {
    /// Puts the handle into the request's extensions.
    pub(crate) fn new(db: &TenantDb, request: &ServiceRequest) -> Self {
        let (db, watch) = db.watch_transactions();
        let tenant = db.tenant().clone();
        request.extensions_mut().insert::<TenantDb>(db);
        Self { tenant, watch }
    }

    /// Puts the tenant into the response's extensions, unless an inner middleware already has. If
    /// the response reports success, logs a warning for each transaction that was dropped without
    /// commit.
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
