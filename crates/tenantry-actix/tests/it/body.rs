//! A body that cannot be read rolls back the transaction that was begun beside it.

use actix_web::{
    App,
    http::StatusCode,
    web::{self, JsonConfig, PayloadConfig},
};
use tenantry_actix::{DbError, TenantMiddleware, Tx};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{TestResult, World, ask, eventually, serve};

async fn insert(Tx(mut tx): Tx, name: web::Json<String>) -> Result<&'static str, DbError> {
    sqlx::query("insert into users values ($1)").bind(&*name).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok("")
}

/// Reads the body itself, after it has written something.
async fn insert_before(Tx(mut tx): Tx, body: web::Payload) -> actix_web::Result<&'static str> {
    let insert = sqlx::query("insert into users values ('lost')").execute(&mut *tx).await;
    insert.map_err(DbError::from)?;
    let read = body.to_bytes_limited(1_000).await;
    read.map_err(actix_web::error::ErrorPayloadTooLarge)??;
    tx.commit().await.map_err(DbError::from)?;
    Ok("")
}

#[tokio::test]
async fn that_is_too_large() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(1).build()?;
    let middleware = TenantMiddleware::new(manager.clone());
    let app = serve!(
        App::new()
            .app_data(JsonConfig::default().limit(1_000))
            .app_data(PayloadConfig::new(1_000))
            .wrap(middleware.clone())
            .route("/json", web::post().to(insert))
            .route("/raw", web::post().to(insert_before))
    );
    let head = "HTTP/1.1\r\nhost: x\r\nx-tenant-id: acme\r\ncontent-type: application/json";
    let body = format!("\"{}\"", "x".repeat(5_000));
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n", body.len());
    for path in ["/json", "/raw"] {
        let known = format!(
            "POST {path} {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let chunked = format!(
            "POST {path} {head}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{chunk}"
        );
        for request in [known, chunked] {
            let answer = ask(&app, request).await;
            assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
            eventually("the connection is back", async || manager.snapshot().leased == 0).await;
            assert_eq!(world.users(&manager, "acme").await, ["acme"], "{path}");
        }
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn that_ends_too_early() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(2).build()?;
    let middleware = TenantMiddleware::new(manager.clone());
    let app = serve!(
        App::new()
            .wrap(middleware.clone())
            .route("/json", web::post().to(insert))
            .route("/raw", web::post().to(insert_before))
    );
    for path in ["/json", "/raw"] {
        let mut client = TcpStream::connect(app.address).await?;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nx-tenant-id: acme\r\n\
             content-type: application/json\r\ncontent-length: 100\r\n\r\n\"half"
        );
        client.write_all(request.as_bytes()).await?;
        eventually("the transaction is open", async || manager.snapshot().leased == 1).await;
        drop(client);
        eventually("the connection is back", async || manager.snapshot().leased == 0).await;
        assert_eq!(world.users(&manager, "acme").await, ["acme"], "{path}");
    }
    manager.close().await;
    Ok(())
}
