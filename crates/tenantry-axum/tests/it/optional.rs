//! Where a tenant is optional, none is fine and a wrong one is not.

use axum::{Router, http::StatusCode, routing::get as on_get};
use tenantry_axum::{CurrentTenant, Db, DbError, TenantLayer, Tx};

use crate::support::{TestResult, World, get, get_without_tenant};

fn says<T>(value: Option<T>) -> &'static str {
    if value.is_some() { "some" } else { "none" }
}

async fn maybe_db(db: Option<Db>) -> Result<String, DbError> {
    let Some(Db(db)) = db else {
        return Ok("none".to_owned());
    };
    Ok(sqlx::query_scalar("select name from users").fetch_one(&db).await?)
}

#[tokio::test]
async fn no_id_is_no_handle_and_a_wrong_one_is_refused() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = Router::new()
        .route("/maybe-db", on_get(maybe_db))
        .route("/maybe-tx", on_get(async |tx: Option<Tx>| says(tx)))
        .route("/maybe-tenant", on_get(async |tenant: Option<CurrentTenant>| says(tenant)))
        .route("/db", on_get(async |_: Db| "some"))
        .route("/tx", on_get(async |_: Tx| "some"))
        .route("/tenant", on_get(async |_: CurrentTenant| "some"))
        .layer(TenantLayer::new(manager.clone()).optional());

    assert_eq!(get(&app, "/maybe-db", "acme").await.body, "acme");
    for path in ["/maybe-tx", "/maybe-tenant", "/db", "/tx", "/tenant"] {
        assert_eq!(get(&app, path, "acme").await.body, "some", "{path}");
    }
    for path in ["/maybe-db", "/maybe-tx", "/maybe-tenant"] {
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
    for path in ["/db", "/tx", "/tenant"] {
        let answer = get_without_tenant(&app, path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(answer.problem_type(), "missing-tenant");
    }
    manager.close().await;
    Ok(())
}
