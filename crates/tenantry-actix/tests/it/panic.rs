//! A handler that panics takes down neither its worker nor a connection.

use actix_web::{App, web};
use tenantry_actix::{DbError, TenantMiddleware, Tx};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{TestResult, World, eventually, get, serve};

async fn panics(Tx(mut tx): Tx) -> Result<&'static str, DbError> {
    sqlx::query("insert into users values ('lost')").execute(&mut *tx).await?;
    panic!("the handler is broken");
}

async fn count(Tx(mut tx): Tx) -> Result<String, DbError> {
    let count: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut *tx).await?;
    Ok(count.to_string())
}

#[tokio::test]
async fn rolls_its_transaction_back() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(1).build()?;
    let middleware = TenantMiddleware::new(manager.clone());
    let app = serve!(
        App::new()
            .wrap(middleware.clone())
            .route("/panic", web::get().to(panics))
            .route("/count", web::get().to(count)),
        |server| server.workers(1)
    );
    for _ in 0..3 {
        let mut client = TcpStream::connect(app.address).await?;
        client.write_all(b"GET /panic HTTP/1.1\r\nhost: x\r\nx-tenant-id: acme\r\n\r\n").await?;
        let mut answer = String::new();
        // It is actix's way to close the connection without an answer.
        client.read_to_string(&mut answer).await?;
        assert_eq!(answer, "");
        eventually("the connection is back", async || manager.snapshot().leased == 0).await;
        assert_eq!(get(&app, "/count", "acme").await.body, "1");
    }
    manager.close().await;
    Ok(())
}
