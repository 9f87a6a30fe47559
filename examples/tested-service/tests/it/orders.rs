use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use serde_json::json;
use tenantry_test::TestTenant;
use tested_service::app;

use crate::TestResult;

#[tenantry_test::test(migrations = "migrations/tenants", fixtures("customers"))]
async fn an_order_is_stored(t: TestTenant) -> TestResult {
    let app = app(t.manager.clone());
    for (customer, quantity, status) in [
        (1, 2, StatusCode::CREATED),
        (1, 0, StatusCode::UNPROCESSABLE_ENTITY),
        (404, 1, StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let order = t
            .request(Method::POST, &format!("/customers/{customer}/orders"))
            .header("content-type", "application/json")
            .body(Body::from(json!({ "item": "tea", "quantity": quantity }).to_string()))?;
        assert_eq!(t.call(&app, order).await.status(), status, "{quantity} for {customer}");
    }
    // The test's own look at the tables.
    let orders: Vec<(String, i32)> =
        sqlx::query_as("select item, quantity from orders").fetch_all(&t.db).await?;
    assert_eq!(orders, [("tea".to_owned(), 2)]);
    Ok(())
}
