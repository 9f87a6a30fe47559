//! What the inner service finds in the extensions: a handle, or the word that there is none.

use std::convert::Infallible;

use http::{Request, Response};
use tenantry_tower::{NoTenant, TenantDb, TenantLayer, resolve::Header};
use tower::{ServiceBuilder, ServiceExt};

use crate::support::manager;

#[tokio::test]
async fn is_one_or_the_other_whatever_layers_are_outside() {
    let found = async |request: Request<()>| {
        let db = request.extensions().get::<TenantDb>().map(|db| db.tenant().id().to_string());
        let no_tenant = request.extensions().get::<NoTenant>().is_some();
        assert_ne!(db.is_some(), no_tenant);
        Ok::<_, Infallible>(Response::new(db.unwrap_or_default()))
    };
    let outer = TenantLayer::new(manager()).optional();
    let inner = outer.clone().resolver(Header::from_static("x-inner"));
    let service = ServiceBuilder::new().layer(outer).layer(inner).service_fn(found);
    for (header, tenant) in [("x-inner", "acme"), ("x-tenant-id", ""), ("x-other", "")] {
        let request = Request::builder().header(header, "acme").body(()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.body(), tenant, "{header}");
    }
}
