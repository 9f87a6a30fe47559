//! A handler outside of the middleware: the log names what is missing, the client learns nothing.

use actix_web::{App, http::StatusCode, web};
use tenantry_actix::{CurrentTenant, Db, Optional, Shared, Tx};

use crate::support::{TestResult, get, serve};

#[tokio::test]
async fn is_a_500_that_the_log_explains() -> TestResult {
    for path in
        ["/db", "/tx", "/shared", "/tenant", "/optional-db", "/optional-tx", "/optional-tenant"]
    {
        let app = serve!({
            App::new()
                .route("/db", web::get().to(async |_: Db| ""))
                .route("/tx", web::get().to(async |_: Tx| ""))
                .route("/shared", web::get().to(async |_: Shared| ""))
                .route("/tenant", web::get().to(async |_: CurrentTenant| ""))
                .route("/optional-db", web::get().to(async |_: Optional<Db>| ""))
                .route("/optional-tx", web::get().to(async |_: Optional<Tx>| ""))
                .route("/optional-tenant", web::get().to(async |_: Optional<CurrentTenant>| ""))
        });
        let answer = get(&app, path, "acme").await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        answer.problem();
        assert!(!answer.body.to_lowercase().contains("middleware"), "{}", answer.body);
        assert!(!answer.body.to_lowercase().contains("tenant"), "{}", answer.body);
        assert!(app.log.text().contains("ERROR"), "{}", app.log.text());
        assert!(app.log.text().contains("TenantMiddleware"), "{}", app.log.text());
    }
    Ok(())
}

/// actix makes `None` of every error, and nobody can change that; the log says it all the same.
#[tokio::test]
async fn is_in_the_log_even_where_an_option_hides_it() -> TestResult {
    for path in ["/db", "/tx", "/tenant"] {
        let app = serve!({
            App::new()
                .route("/db", web::get().to(async |db: Option<Db>| says(db)))
                .route("/tx", web::get().to(async |tx: Option<Tx>| says(tx)))
                .route("/tenant", web::get().to(async |tenant: Option<CurrentTenant>| says(tenant)))
        });
        assert_eq!(get(&app, path, "acme").await.body, "none", "{path}");
        assert!(app.log.text().contains("TenantMiddleware"), "{}", app.log.text());
    }
    Ok(())
}

fn says<T>(value: Option<T>) -> &'static str {
    if value.is_some() { "some" } else { "none" }
}
