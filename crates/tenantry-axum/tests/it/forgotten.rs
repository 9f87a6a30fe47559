//! A success without the changes that it reports is a warning in the log.

use axum::{
    Router,
    http::{Method, StatusCode},
    routing::post,
};
use tenantry_axum::{Db, DbError, TenantLayer, Tx};

use crate::support::{Log, TestResult, World, eventually, request};

const INSERT: &str = "insert into users values ('new')";

async fn forgotten(Tx(mut tx): Tx) -> Result<StatusCode, DbError> {
    sqlx::query(INSERT).execute(&mut *tx).await?;
    Ok(StatusCode::CREATED)
}

async fn forgotten_on_the_handle(Db(db): Db) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    sqlx::query(INSERT).execute(&mut *tx).await?;
    Ok(())
}

async fn refused(Tx(mut tx): Tx) -> Result<(), DbError> {
    sqlx::query(INSERT).execute(&mut *tx).await?;
    Err(StatusCode::PAYMENT_REQUIRED.into())
}

async fn only_read(Tx(mut tx): Tx) -> Result<(), DbError> {
    sqlx::query("select from users").execute(&mut *tx).await?;
    Ok(())
}

async fn committed(Tx(mut tx): Tx) -> Result<(), DbError> {
    sqlx::query(INSERT).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

#[tokio::test]
async fn commits_are_warned_of_where_the_response_reports_success() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = Router::new()
        .route("/forgotten", post(forgotten))
        .route("/on-the-handle", post(forgotten_on_the_handle))
        .route("/refused", post(refused))
        .route("/only-read", post(only_read))
        .route("/committed", post(committed))
        .layer(TenantLayer::new(manager.clone()));
    let log = Log::capture();
    let warning = "but the request reported success";
    for (path, status, warned) in [
        ("/refused", 402, 0),
        ("/only-read", 200, 0),
        ("/forgotten?secret=1", 201, 1),
        ("/on-the-handle", 200, 2),
        ("/committed", 200, 2),
    ] {
        let answer = request(&app, Method::POST, path, "acme").await;
        assert_eq!(answer.status, status, "{path}");
        // The rollback of one that was dropped happens in the background.
        eventually("all is back", async || manager.snapshot().leased == 0).await;
        assert_eq!(log.text().matches(warning).count(), warned, "{path}: {}", log.text());
    }
    for request in ["POST /forgotten", "POST /on-the-handle"] {
        let told = log.text();
        let line = told.lines().find(|line| line.contains(&format!("request=\"{request}\"")));
        let line = line.ok_or("no line names the request")?;
        assert!(line.contains("WARN") && line.contains("tenant=\"acme\""), "{line}");
    }
    manager.close().await;
    Ok(())
}
