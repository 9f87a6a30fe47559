//! A middleware can put the tenant in scope, for code that cannot be handed a value.

use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::{Next, from_fn},
    web,
};
use tenantry::context;
use tenantry_actix::{Db, TenantMiddleware};

use crate::support::{TestResult, get, offline, serve};

async fn in_scope(
    Db(db): Db,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    context::scope(db, next.call(request)).await
}

async fn tenant_in_scope() -> String {
    match context::current() {
        Ok(db) => db.tenant().id().to_string(),
        Err(_) => "none".to_owned(),
    }
}

#[tokio::test]
async fn covers_the_handler_and_ends_with_the_request() -> TestResult {
    let middleware = TenantMiddleware::new(offline(["acme", "globex"]));
    let app = serve!(
        App::new().route("/outside", web::get().to(tenant_in_scope)).service(
            web::scope("")
                .wrap(from_fn(in_scope))
                .wrap(middleware.clone())
                .route("/", web::get().to(tenant_in_scope))
        )
    );
    for (path, tenant, found) in
        [("/", "acme", "acme"), ("/", "globex", "globex"), ("/outside", "acme", "none")]
    {
        assert_eq!(get(&app, path, tenant).await.body, found);
    }
    Ok(())
}
