//! Where a tenant is optional, none is fine and a wrong one is not.

use std::time::Duration;

use actix_web::{App, http::StatusCode, web};
use tenantry_actix::{CurrentTenant, Db, DbError, Optional, TenantMiddleware, Tx};

use crate::support::{TestResult, World, get, get_without_tenant, serve};

fn says<T>(value: Option<T>) -> &'static str {
    if value.is_some() { "some" } else { "none" }
}

async fn maybe_db(Optional(db): Optional<Db>) -> Result<String, DbError> {
    let Some(Db(db)) = db else {
        return Ok("none".to_owned());
    };
    Ok(sqlx::query_scalar("select name from users").fetch_one(&db).await?)
}

#[tokio::test]
async fn no_id_is_no_handle_and_a_wrong_one_is_refused() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let middleware = TenantMiddleware::new(manager.clone()).optional();
    let app = serve!(
        App::new()
            .wrap(middleware.clone())
            .route("/maybe-db", web::get().to(maybe_db))
            .route("/maybe-tx", web::get().to(async |tx: Optional<Tx>| says(tx.0)))
            .route("/maybe-tenant", web::get().to(async |of: Optional<CurrentTenant>| says(of.0)))
            .route("/option-db", web::get().to(async |db: Option<Db>| says(db)))
            .route("/option-tx", web::get().to(async |tx: Option<Tx>| says(tx)))
            .route("/option-tenant", web::get().to(async |of: Option<CurrentTenant>| says(of)))
            .route("/db", web::get().to(async |_: Db| "some"))
            .route("/tx", web::get().to(async |_: Tx| "some"))
            .route("/tenant", web::get().to(async |_: CurrentTenant| "some"))
    );

    assert_eq!(get(&app, "/maybe-db", "acme").await.body, "acme");
    let optional = ["/maybe-tx", "/maybe-tenant", "/option-db", "/option-tx", "/option-tenant"];
    for path in optional.iter().chain(&["/db", "/tx", "/tenant"]) {
        assert_eq!(get(&app, path, "acme").await.body, "some", "{path}");
    }
    for path in optional.iter().chain(&["/maybe-db"]) {
        assert_eq!(get_without_tenant(&app, path).await.body, "none", "{path}");
        for (tenant, status) in [
            ("x,y", StatusCode::BAD_REQUEST),
            ("", StatusCode::BAD_REQUEST),
            ("nobody", StatusCode::NOT_FOUND),
            ("frozen", StatusCode::FORBIDDEN),
        ] {
            assert_eq!(get(&app, path, tenant).await.status, status, "{path} {tenant}");
        }
    }
    assert!(!app.log.text().contains("ERROR"), "{}", app.log.text());
    for path in ["/db", "/tx", "/tenant"] {
        let answer = get_without_tenant(&app, path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(answer.problem_type(), "missing-tenant");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_cannot_begin_is_not_taken_for_no_tenant() -> TestResult {
    let world = World::new().await;
    let manager =
        world.builder().max_connections(1).acquire_timeout(Duration::from_millis(300)).build()?;
    let middleware = TenantMiddleware::new(manager.clone()).optional();
    let app = serve!(
        App::new()
            .wrap(middleware.clone())
            .route("/", web::get().to(async |tx: Optional<Tx>| says(tx.0)))
    );
    let lease = manager.tenant("acme").await?.acquire().await?;
    let answer = get(&app, "/", "acme").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(app.log.text().contains("no connection in time"), "{}", app.log.text());
    assert_eq!(get_without_tenant(&app, "/").await.body, "none");
    drop(lease);
    assert_eq!(get(&app, "/", "acme").await.body, "some");
    manager.close().await;
    Ok(())
}
