//! What a handler does in `Tx` lasts when it commits, and only then.

use axum::{Router, http::StatusCode, routing::get as on_get};
use tenantry_axum::{DbError, TenantLayer, Tx};

use crate::support::{TestResult, World, get};

async fn insert(Tx(mut tx): Tx) -> Result<(), DbError> {
    sqlx::query("insert into users values ('kept')").execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

async fn insert_without_commit(Tx(mut tx): Tx) -> Result<(), DbError> {
    sqlx::query("insert into users values ('lost')").execute(&mut *tx).await?;
    Ok(())
}

async fn insert_and_fail(Tx(mut tx): Tx) -> Result<(), DbError> {
    sqlx::query("insert into users values ('lost')").execute(&mut *tx).await?;
    sqlx::query("select 1 / 0").execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

#[tokio::test]
async fn lasts_when_committed_alone() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(1).build()?;
    let app = Router::new()
        .route("/commit", on_get(insert))
        .route("/forget", on_get(insert_without_commit))
        .route("/fail", on_get(insert_and_fail))
        .layer(TenantLayer::new(manager.clone()));
    assert_eq!(get(&app, "/forget", "acme").await.status, StatusCode::OK);
    let failed = get(&app, "/fail", "acme").await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(get(&app, "/commit", "acme").await.status, StatusCode::OK);

    let query = || sqlx::query_scalar::<_, String>("select name from users order by 1");
    let acme = manager.tenant("acme").await?;
    assert_eq!(query().fetch_all(&acme).await?, ["acme", "kept"]);
    let globex = manager.tenant("globex").await?;
    assert_eq!(query().fetch_all(&globex).await?, ["globex"]);
    manager.close().await;
    Ok(())
}
