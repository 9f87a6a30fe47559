//! A response that outlives its handler still reads from its own tenant.

use actix_web::{
    App, HttpResponse,
    web::{self, Bytes},
};
use futures_util::{StreamExt, TryStreamExt};
use tenantry_actix::{Db, DbError, TenantMiddleware};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{TestResult, World, eventually, get, serve};

/// Sends a line for each row as the server has it, long after this function has returned.
async fn rows(Db(db): Db) -> HttpResponse {
    let lines = async_stream::stream! {
        let query = sqlx::query_scalar::<_, String>(
            "select name || ' ' || n from users, generate_series(1, 20000) n",
        );
        let mut rows = query.fetch(&db);
        while let Some(row) = rows.next().await {
            yield row;
        }
    };
    let lines = lines.map_ok(|line| Bytes::from(line + "\n")).map_err(DbError::from);
    HttpResponse::Ok().streaming(lines)
}

#[tokio::test]
async fn is_of_the_requests_tenant_from_end_to_end() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(2).build()?;
    let middleware = TenantMiddleware::new(manager.clone());
    let app = serve!(App::new().wrap(middleware.clone()).route("/", web::get().to(rows)));
    let (acme, globex) = tokio::join!(get(&app, "/", "acme"), get(&app, "/", "globex"));
    for (answer, tenant) in [(acme, "acme"), (globex, "globex")] {
        let lines = answer.body.lines().filter(|line| line.contains(' '));
        let (own, all) = lines.fold((0, 0), |(own, all), line| {
            (own + usize::from(line.starts_with(tenant)), all + 1)
        });
        assert_eq!((own, all), (20_000, 20_000));
    }
    eventually("the connections are back", async || manager.snapshot().leased == 0).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn gives_its_connection_back_when_the_client_goes_away() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(2).build()?;
    let middleware = TenantMiddleware::new(manager.clone());
    let app = serve!(App::new().wrap(middleware.clone()).route("/", web::get().to(rows)));
    let mut client = TcpStream::connect(app.address).await?;
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-tenant-id: acme\r\n\r\n").await?;
    client.read_exact(&mut [0; 100]).await?;
    drop(client);
    eventually("the connection is back", async || manager.snapshot().leased == 0).await;
    assert_eq!(world.users(&manager, "globex").await, ["globex"]);
    manager.close().await;
    Ok(())
}
