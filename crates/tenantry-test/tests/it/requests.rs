//! Requests carry the tenant, and their responses are searched.

use axum::{
    Router,
    body::Body,
    http::{Method, StatusCode},
    routing::get,
};
use tenantry::TenantDb;
use tenantry_axum::{Db, TenantLayer};
use tenantry_test::TestTenant;

type TestResult = Result<(), Box<dyn std::error::Error>>;

async fn names_of(db: &TenantDb) -> String {
    let names = sqlx::query_scalar("select coalesce(string_agg(name, ','), '') from users");
    names.fetch_one(db).await.unwrap()
}

async fn names(Db(db): Db) -> String {
    names_of(&db).await
}

/// A service with a mistake: one of its routes has a handle of its own.
fn app(t: &TestTenant, leaking: TenantDb) -> Router {
    let leak = async move || names_of(&leaking).await;
    Router::new()
        .route("/names", get(names))
        .route("/leak", get(leak))
        .layer(TenantLayer::new(t.manager.clone()))
}

#[tenantry_test::test(migrations = "migrations/tenants", fixtures("users"))]
async fn axum_is_asked_as_the_tenant(t: TestTenant) -> TestResult {
    let neighbour = t.neighbour().await?;
    let app = app(&t, neighbour.db().clone());
    let response = t.call(&app, t.request(Method::GET, "/names").body(Body::empty())?).await;
    assert_eq!((response.status(), &response.body()[..]), (StatusCode::OK, &b"Ann,Bob"[..]));
    neighbour.assert_blind().await;
    Ok(())
}

#[tenantry_test::test(migrations = "migrations/tenants", fixtures("users"))]
#[should_panic(expected = "is in the body of 200 OK")]
async fn a_response_with_poison_is_found(t: TestTenant) {
    let neighbour = t.neighbour().await.unwrap();
    let app = app(&t, neighbour.db().clone());
    let request = t.request(Method::GET, "/leak").body(Body::empty()).unwrap();
    assert_eq!(t.call(&app, request).await.status(), StatusCode::OK);
    neighbour.assert_blind().await;
}

#[tenantry_test::test(migrations = "migrations/tenants", fixtures("users"))]
async fn actix_is_asked_as_the_tenant(t: TestTenant) -> TestResult {
    use actix_web::{App, test, web};
    use tenantry_actix::{Db, TenantMiddleware};

    async fn names(Db(db): Db) -> String {
        names_of(&db).await
    }
    let neighbour = t.neighbour().await?;
    let app = App::new().wrap(TenantMiddleware::new(t.manager.clone()));
    let app = test::init_service(app.route("/names", web::get().to(names))).await;
    let response = t.call_actix(&app, t.actix_request().uri("/names")).await;
    assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"Ann,Bob"[..]));
    // Without the header, the middleware refuses.
    let response = t.call_actix(&app, test::TestRequest::get().uri("/names")).await;
    assert_eq!(response.status().as_u16(), 400);
    neighbour.assert_blind().await;
    Ok(())
}
