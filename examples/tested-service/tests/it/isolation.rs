use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use tenantry_test::TestTenant;
use tested_service::app;

use crate::TestResult;

/// The neighbour uses the same connections all the time, with poisoned rows under the same ids.
#[tenantry_test::test(migrations = "migrations/tenants", fixtures("customers"))]
async fn no_request_sees_rows_of_another_tenant(t: TestTenant) -> TestResult {
    let app = app(t.manager.clone());
    let neighbour = t.neighbour().await?;
    assert_eq!(neighbour.unfilled(), [], "the poison fits every table");
    for path in ["/customers", "/customers/1/orders", "/customers/2/orders"].repeat(5) {
        let request = t.request(Method::GET, path).body(Body::empty())?;
        assert_eq!(t.call(&app, request).await.status(), StatusCode::OK);
    }
    neighbour.assert_blind().await;
    Ok(())
}
