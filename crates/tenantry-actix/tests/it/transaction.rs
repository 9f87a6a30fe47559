//! What a handler does in `Tx` lasts when it commits, and only then.

use actix_web::{App, http::StatusCode, web};
use tenantry_actix::{DbError, TenantMiddleware, Tx};

use crate::support::{TestResult, World, get, serve};

async fn insert(Tx(mut tx): Tx) -> Result<&'static str, DbError> {
    sqlx::query("insert into users values ('kept')").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok("kept")
}

async fn insert_without_commit(Tx(mut tx): Tx) -> Result<&'static str, DbError> {
    sqlx::query("insert into users values ('lost')").execute(&mut *tx).await?;
    Ok("lost")
}

async fn insert_and_fail(Tx(mut tx): Tx) -> Result<&'static str, DbError> {
    sqlx::query("insert into users values ('lost')").execute(&mut *tx).await?;
    sqlx::query("select 1 / 0").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok("lost")
}

#[tokio::test]
async fn lasts_when_committed_alone() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(1).build()?;
    let middleware = TenantMiddleware::new(manager.clone());
    let app = serve!(
        App::new()
            .wrap(middleware.clone())
            .route("/commit", web::get().to(insert))
            .route("/forget", web::get().to(insert_without_commit))
            .route("/fail", web::get().to(insert_and_fail))
    );
    assert_eq!(get(&app, "/forget", "acme").await.status, StatusCode::OK);
    let failed = get(&app, "/fail", "acme").await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(get(&app, "/commit", "acme").await.status, StatusCode::OK);
    assert_eq!(world.users(&manager, "acme").await, ["acme", "kept"]);
    assert_eq!(world.users(&manager, "globex").await, ["globex"]);
    manager.close().await;
    Ok(())
}
