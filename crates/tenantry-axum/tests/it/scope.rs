//! A middleware can put the tenant in scope, for code that cannot be handed a value.

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
    routing::get as on_get,
};
use tenantry::context;
use tenantry_axum::{Db, TenantLayer};

use crate::support::{TestResult, get, offline};

async fn in_scope(Db(db): Db, request: Request, next: Next) -> Response {
    context::scope(db, next.run(request)).await
}

async fn tenant_in_scope() -> String {
    match context::current() {
        Ok(db) => db.tenant().id().to_string(),
        Err(_) => "none".to_owned(),
    }
}

#[tokio::test]
async fn covers_the_handler_and_ends_with_the_request() -> TestResult {
    let app = Router::new()
        .route("/", on_get(tenant_in_scope))
        .layer(from_fn(in_scope))
        .layer(TenantLayer::new(offline(["acme", "globex"])))
        .route("/outside", on_get(tenant_in_scope));
    for (path, tenant, found) in
        [("/", "acme", "acme"), ("/", "globex", "globex"), ("/outside", "acme", "none")]
    {
        assert_eq!(get(&app, path, tenant).await.body, found);
    }
    Ok(())
}
