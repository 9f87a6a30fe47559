//! All workers share the manager, and it outlives each of them.

use std::{collections::HashSet, time::Duration};

use actix_web::{App, web};
use tenantry::TenantManager;
use tenantry_actix::{Db, DbError, TenantMiddleware, Tx};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{TestResult, TestServer, World, eventually, get, serve, users};

async fn name(Db(db): Db) -> Result<String, DbError> {
    let name: String = sqlx::query_scalar("select name from users").fetch_one(&db).await?;
    Ok(format!("{name} {:?}", std::thread::current().id()))
}

async fn slow_insert(Tx(mut tx): Tx) -> Result<&'static str, DbError> {
    sqlx::query("insert into users values ('half done')").execute(&mut *tx).await?;
    sqlx::query("select pg_sleep(60)").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok("")
}

fn app(manager: &TenantManager) -> Result<TestServer, Box<dyn std::error::Error>> {
    let middleware = TenantMiddleware::new(manager.clone());
    Ok(serve!(
        App::new()
            .wrap(middleware.clone())
            .route("/name", web::get().to(name))
            .route("/slow", web::get().to(slow_insert)),
        |server| server.workers(3)
    ))
}

/// Asks until more than one worker has answered; returns how many have.
async fn workers_that_answer(app: &TestServer, tenant: &str) -> usize {
    let mut workers = HashSet::new();
    eventually("several workers answer", async || {
        let answer = get(app, "/name", tenant).await.body;
        let (name, worker) = answer.split_once(' ').unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(name, tenant);
        workers.insert(worker.to_owned());
        workers.len() > 1
    })
    .await;
    workers.len()
}

#[tokio::test]
async fn share_one_connection() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(1).build()?;
    let app = app(&manager)?;
    for tenant in ["acme", "globex", "acme"] {
        assert!(workers_that_answer(&app, tenant).await > 1);
    }
    assert_eq!(manager.snapshot().total, 1);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn that_end_take_no_connection_with_them() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(2).build()?;
    let first = app(&manager)?;
    workers_that_answer(&first, "acme").await;
    let before = backends(&manager).await;
    first.handle.stop(true).await;
    drop(first);

    assert_eq!(users(&manager, "acme").await, ["acme"]);
    assert_eq!(backends(&manager).await, before, "a connection was opened anew");
    let second = app(&manager)?;
    workers_that_answer(&second, "acme").await;
    workers_that_answer(&second, "globex").await;
    assert_eq!(backends(&manager).await, before, "a connection was opened anew");
    manager.close().await;
    Ok(())
}

/// The process ids of the server's ends of all connections.
async fn backends(manager: &TenantManager) -> Vec<i32> {
    let query = sqlx::query_scalar(
        "select pid from pg_stat_activity \
         where datname = current_database() and backend_type = 'client backend' order by 1",
    );
    query.fetch_all(manager.shared()).await.expect("the server is running")
}

#[tokio::test]
async fn that_are_stopped_in_mid_request_leave_nothing_behind() -> TestResult {
    let world = World::new().await;
    let manager =
        world.builder().max_connections(2).acquire_timeout(Duration::from_secs(10)).build()?;
    let app = app(&manager)?;
    let mut client = TcpStream::connect(app.address).await?;
    client.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\nx-tenant-id: acme\r\n\r\n").await?;
    eventually("the transaction is open", async || manager.snapshot().leased == 1).await;
    app.handle.stop(false).await;
    eventually("the connection is back", async || manager.snapshot().leased == 0).await;
    assert_eq!(users(&manager, "acme").await, ["acme"]);
    assert_eq!(users(&manager, "globex").await, ["globex"]);
    manager.close().await;
    Ok(())
}

/// As in a program with `#[actix_web::main]`: the runtime of `main` is actix's own.
#[test]
fn share_a_manager_that_was_built_in_the_system_of_actix() -> TestResult {
    actix_web::rt::System::new().block_on(async {
        let world = World::new().await;
        let manager = world.builder().max_connections(1).build()?;
        let app = app(&manager)?;
        for tenant in ["acme", "globex"] {
            workers_that_answer(&app, tenant).await;
        }
        app.handle.stop(true).await;
        assert_eq!(users(&manager, "acme").await, ["acme"]);
        manager.close().await;
        Ok(())
    })
}
