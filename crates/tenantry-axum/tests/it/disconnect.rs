//! A client that goes away leaves nothing behind: no transaction, no connection, no row.
//!
//! The pools have two connections, so that there is one to cancel what runs on the other.

use std::time::Duration;

use axum::{Router, routing::post};
use tenantry::TenantManager;
use tenantry_axum::{Db, DbError, TenantLayer, Tx};
use tokio::{io::AsyncWriteExt, net::TcpListener, net::TcpStream};

use crate::support::{TestResult, World, eventually};

async fn slow_insert(Tx(mut tx): Tx) -> Result<(), DbError> {
    sqlx::query("insert into users values ('half done')").execute(&mut *tx).await?;
    sqlx::query("select pg_sleep(60)").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

async fn slow_statement(Db(db): Db) -> Result<(), DbError> {
    sqlx::query("select pg_sleep(60)").execute(&db).await?;
    Ok(())
}

/// Sends a request over a socket, and closes it when the statement runs.
async fn hang_up(world: &World, manager: &TenantManager, path: &str) -> TestResult {
    let app = Router::new()
        .route("/tx", post(slow_insert))
        .route("/db", post(slow_statement))
        .layer(TenantLayer::new(manager.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let mut admin = world.admin().await;
    let mut sleeping = async || {
        sqlx::query_scalar::<_, i64>(
            "select count(*) from pg_stat_activity where datname = current_database() \
             and state = 'active' and pid <> pg_backend_pid() and query like '%pg_sleep%'",
        )
        .fetch_one(&mut admin)
        .await
        .is_ok_and(|count| count == 1)
    };

    let mut client = TcpStream::connect(address).await?;
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nx-tenant-id: acme\r\n\r\n");
    client.write_all(head.as_bytes()).await?;
    eventually("the statement runs", &mut sleeping).await;
    drop(client);

    eventually("the statement is given up", async || !sleeping().await).await;
    eventually("the connection is back", async || manager.snapshot().leased == 0).await;
    server.abort();
    Ok(())
}

#[tokio::test]
async fn rolls_a_transaction_back() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(2).build()?;
    hang_up(&world, &manager, "/tx").await?;

    let db = manager.tenant("acme").await?;
    let names: Vec<String> = sqlx::query_scalar("select name from users").fetch_all(&db).await?;
    assert_eq!(names, ["acme"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn gives_the_connection_back() -> TestResult {
    let world = World::new().await;
    let manager =
        world.builder().max_connections(2).acquire_timeout(Duration::from_secs(10)).build()?;
    hang_up(&world, &manager, "/db").await?;

    let db = manager.tenant("globex").await?;
    let name: String = sqlx::query_scalar("select name from users").fetch_one(&db).await?;
    assert_eq!(name, "globex");
    manager.close().await;
    Ok(())
}
