//! A client that goes away leaves nothing behind: no transaction, no connection, no row.
//!
//! The pools have two connections, so that there is one to cancel what runs on the other.

use actix_web::{App, web};
use tenantry::TenantManager;
use tenantry_actix::{DbError, TenantMiddleware, Tx};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{TestResult, TestServer, World, eventually, serve, users};

async fn slow_insert(Tx(mut tx): Tx) -> Result<&'static str, DbError> {
    sqlx::query("insert into users values ('half done')").execute(&mut *tx).await?;
    sqlx::query("select pg_sleep(60)").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok("")
}

async fn quick_insert(Tx(mut tx): Tx) -> Result<&'static str, DbError> {
    sqlx::query("insert into users select 'done' from pg_sleep(0.5)").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok("")
}

/// With actix's defaults.
fn app(manager: &TenantManager) -> Result<TestServer, Box<dyn std::error::Error>> {
    let middleware = TenantMiddleware::new(manager.clone());
    Ok(serve!(
        App::new()
            .wrap(middleware.clone())
            .route("/tx", web::post().to(slow_insert))
            .route("/quick", web::post().to(quick_insert)),
        |server| server.workers(1)
    ))
}

async fn sleeping(admin: &mut sqlx::PgConnection) -> bool {
    sqlx::query_scalar::<_, i64>(
        "select count(*) from pg_stat_activity where datname = current_database() \
         and state = 'active' and pid <> pg_backend_pid() and query like '%pg_sleep%'",
    )
    .fetch_one(admin)
    .await
    .is_ok_and(|count| count == 1)
}

/// Sends a request and returns the connection when its statement runs.
async fn begin(world: &World, app: &TestServer, path: &str) -> std::io::Result<TcpStream> {
    let mut admin = world.admin().await;
    let mut client = TcpStream::connect(app.address).await?;
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nx-tenant-id: acme\r\n\r\n");
    client.write_all(head.as_bytes()).await?;
    eventually("the statement runs", async || sleeping(&mut admin).await).await;
    Ok(client)
}

async fn given_up(world: &World, manager: &TenantManager) {
    let mut admin = world.admin().await;
    eventually("the statement is given up", async || !sleeping(&mut admin).await).await;
    eventually("the connection is back", async || manager.snapshot().leased == 0).await;
}

/// A connection that is reset, unlike one that is closed in order, ends the handler in any case.
#[tokio::test]
async fn is_noticed_by_default_when_the_connection_is_reset() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(2).build()?;
    let app = app(&manager)?;
    let client = begin(&world, &app, "/tx").await?;
    client.set_zero_linger()?;
    drop(client);
    given_up(&world, &manager).await;
    assert_eq!(users(&manager, "acme").await, ["acme"]);
    manager.close().await;
    Ok(())
}

/// As the documentation of `Tx` says.
#[tokio::test]
async fn is_not_noticed_by_default_when_the_client_closes_its_side() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(2).build()?;
    let app = app(&manager)?;
    drop(begin(&world, &app, "/quick").await?);
    eventually("it is committed", async || users(&manager, "acme").await == ["acme", "done"]).await;
    manager.close().await;
    Ok(())
}
