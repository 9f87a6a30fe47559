//! A manager whose server is not there: admitting a tenant needs none.

use http::Request;
use tenantry::{FixedCatalog, TenantId, TenantManager, TenantRecord};

pub(crate) fn manager() -> TenantManager {
    let acme = TenantRecord::new(TenantId::parse("acme").expect("the id is one"));
    TenantManager::builder("postgres://nobody@127.0.0.1:1/nothing")
        .catalog(FixedCatalog::new([acme]))
        .build()
        .expect("the configuration is sound")
}

pub(crate) fn request<B>(tenant: &str, body: B) -> Request<B> {
    let request = Request::builder().header("x-tenant-id", tenant).body(body);
    request.expect("the request is sound")
}
