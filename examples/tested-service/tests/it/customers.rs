use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use serde_json::{Value, json};
use tenantry_test::TestTenant;
use tested_service::app;

use crate::TestResult;

#[tenantry_test::test(migrations = "migrations/tenants")]
async fn a_customer_is_listed_after_signing_up(t: TestTenant) -> TestResult {
    let app = app(t.manager.clone());
    let new = json!({ "email": "ann@example.com", "name": "Ann" });
    let create = t
        .request(Method::POST, "/customers")
        .header("content-type", "application/json")
        .body(Body::from(new.to_string()))?;
    assert_eq!(t.call(&app, create).await.status(), StatusCode::CREATED);

    let list = t.request(Method::GET, "/customers").body(Body::empty())?;
    let response = t.call(&app, list).await;
    let customers: Value = serde_json::from_slice(response.body())?;
    assert_eq!(customers, json!([{ "id": 1, "email": "ann@example.com", "name": "Ann" }]));
    Ok(())
}

/// `fixtures/customers.sql`, beside this file, has Ann already.
#[tenantry_test::test(migrations = "migrations/tenants", fixtures("customers"))]
async fn an_email_that_is_taken_is_a_conflict(t: TestTenant) -> TestResult {
    let new = json!({ "email": "ann@example.com", "name": "Another Ann" });
    let create = t
        .request(Method::POST, "/customers")
        .header("content-type", "application/json")
        .body(Body::from(new.to_string()))?;
    let response = t.call(&app(t.manager.clone()), create).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    Ok(())
}
