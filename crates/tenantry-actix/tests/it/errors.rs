//! No words of the database reach a client; all of them reach the log.

use std::time::Duration;

use actix_web::{App, ResponseError, http::StatusCode, web};
use tenantry::TenantManager;
use tenantry_actix::{Db, DbError, TenantMiddleware, Tx};

use crate::support::{TestResult, TestServer, World, get, serve};

async fn no_table(Db(db): Db) -> Result<&'static str, DbError> {
    sqlx::query("select * from secret_table").execute(&db).await?;
    Ok("")
}

async fn duplicate(Tx(mut tx): Tx) -> Result<&'static str, DbError> {
    let insert = "insert into users select name from users";
    sqlx::query(insert).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok("")
}

async fn wrong_type(Db(db): Db) -> Result<String, DbError> {
    let number: i32 = sqlx::query_scalar("select name from users").fetch_one(&db).await?;
    Ok(number.to_string())
}

async fn no_row(Db(db): Db) -> Result<String, DbError> {
    let query = sqlx::query_scalar("select name from users where false");
    Ok(query.fetch_one(&db).await?)
}

async fn raised(Db(db): Db) -> Result<&'static str, DbError> {
    let sql = "do $$ begin raise exception 'secret exception'; end $$";
    sqlx::raw_sql(sql).execute(&db).await?;
    Ok("")
}

async fn any_statement(Db(db): Db) -> Result<&'static str, DbError> {
    sqlx::query("select 1").execute(&db).await?;
    Ok("")
}

async fn any_transaction(Tx(_tx): Tx) -> &'static str {
    ""
}

fn app(manager: &TenantManager) -> Result<TestServer, Box<dyn std::error::Error>> {
    let middleware = TenantMiddleware::new(manager.clone());
    Ok(serve!(
        App::new()
            .wrap(middleware.clone())
            .route("/no-table", web::get().to(no_table))
            .route("/duplicate", web::get().to(duplicate))
            .route("/wrong-type", web::get().to(wrong_type))
            .route("/no-row", web::get().to(no_row))
            .route("/raised", web::get().to(raised))
            .route("/db", web::get().to(any_statement))
            .route("/tx", web::get().to(any_transaction))
    ))
}

#[tokio::test]
async fn are_opaque_to_the_client_and_complete_in_the_log() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app = app(&manager)?;
    let cases = [
        ("/no-table", "secret_table"),
        ("/duplicate", "users_pkey"),
        ("/wrong-type", "mismatched types"),
        ("/no-row", "no rows"),
        ("/raised", "secret exception"),
    ];
    let opaque = r#"{"detail":"the request could not be served","status":500,"title":"Internal Server Error","type":"about:blank"}"#;
    for (path, words) in cases {
        let answer = get(&app, path, "acme").await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert_eq!(answer.body, opaque);
        assert!(app.log.text().contains(words), "{words} is not in:\n{}", app.log.text());
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn no_connection_in_time_is_503() -> TestResult {
    let world = World::new().await;
    let manager =
        world.builder().max_connections(1).acquire_timeout(Duration::from_secs(1)).build()?;
    let app = app(&manager)?;
    let lease = manager.tenant("acme").await?.acquire().await?;
    let answers = tokio::join!(get(&app, "/db", "globex"), get(&app, "/tx", "globex"));
    for answer in [answers.0, answers.1] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.problem_type(), "unavailable");
    }
    assert!(app.log.text().contains("no connection in time"), "{}", app.log.text());
    drop(lease);
    assert_eq!(get(&app, "/db", "globex").await.status, StatusCode::OK);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn too_many_in_the_queue_is_503() -> TestResult {
    let world = World::new().await;
    let mut options = tenantry::PoolOptions::default();
    options.max_connections = 1;
    options.max_waiting_per_tenant = 1;
    let manager = world.builder().pool_options(options).build()?;
    let app = std::sync::Arc::new(app(&manager)?);
    // Looking it up would wait for the same connection.
    manager.tenant("globex").await?;
    let lease = manager.tenant("acme").await?.acquire().await?;
    let waiting = tokio::spawn({
        let app = std::sync::Arc::clone(&app);
        async move { get(&app, "/db", "globex").await.status }
    });
    crate::support::eventually("one waits", async || manager.snapshot().waiting == 1).await;

    let refused = get(&app, "/db", "globex").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.header("retry-after").is_some());
    drop(lease);
    assert_eq!(waiting.await?, StatusCode::OK);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_handler_can_branch_on_what_the_database_says() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let db = manager.tenant("acme").await?;
    let insert = sqlx::query("insert into users select name from users").execute(&db).await;
    let error = DbError::from(insert.unwrap_err());
    assert!(error.as_database_error().is_some_and(|error| error.is_unique_violation()));
    assert_eq!(error.status_code(), StatusCode::INTERNAL_SERVER_ERROR);
    manager.close().await;
    Ok(())
}
