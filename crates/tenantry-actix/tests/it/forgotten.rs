//! A success without the changes that it reports is a warning in the log.

use actix_web::{App, HttpResponse, http::StatusCode, web};
use tenantry_actix::{DbError, TenantMiddleware, Tx};

use crate::support::{TestResult, World, eventually, get, serve};

const INSERT: &str = "insert into users values ('new')";

async fn forgotten(Tx(mut tx): Tx) -> Result<HttpResponse, DbError> {
    sqlx::query(INSERT).execute(&mut *tx).await?;
    Ok(HttpResponse::Created().finish())
}

async fn refused(Tx(mut tx): Tx) -> Result<HttpResponse, DbError> {
    sqlx::query(INSERT).execute(&mut *tx).await?;
    Err(StatusCode::PAYMENT_REQUIRED.into())
}

async fn only_read(Tx(mut tx): Tx) -> Result<HttpResponse, DbError> {
    sqlx::query("select from users").execute(&mut *tx).await?;
    Ok(HttpResponse::Ok().finish())
}

async fn committed(Tx(mut tx): Tx) -> Result<HttpResponse, DbError> {
    sqlx::query(INSERT).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(HttpResponse::Ok().finish())
}

#[tokio::test]
async fn commits_are_warned_of_where_the_response_reports_success() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let middleware = TenantMiddleware::new(manager.clone());
    let app = serve!({
        App::new()
            .wrap(middleware.clone())
            .route("/forgotten", web::get().to(forgotten))
            .route("/refused", web::get().to(refused))
            .route("/only-read", web::get().to(only_read))
            .route("/committed", web::get().to(committed))
    });
    // The rollback happens where the manager is, and not on the worker.
    app.log.capture();
    let warning = "but the request reported success";
    for (path, status, warned) in [
        ("/refused", 402, 0),
        ("/only-read", 200, 0),
        ("/forgotten?secret=1", 201, 1),
        ("/committed", 200, 1),
    ] {
        assert_eq!(get(&app, path, "acme").await.status, status, "{path}");
        eventually("all is back", async || manager.snapshot().leased == 0).await;
        assert_eq!(app.log.text().matches(warning).count(), warned, "{path}: {}", app.log.text());
    }
    let told = app.log.text();
    let line = told.lines().find(|line| line.contains("request=\"GET /forgotten\""));
    let line = line.ok_or("no line names the request")?;
    assert!(line.contains("WARN") && line.contains("tenant=\"acme\""), "{line}");
    manager.close().await;
    Ok(())
}
