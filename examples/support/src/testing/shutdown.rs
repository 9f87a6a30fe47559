//! SIGTERM cuts no request that ends in time, and waits for no other.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::{Connection, PgConnection};
use tenantry_devdb::DevDatabase;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{Answer, Server, TestResult, try_send};

/// Sends a request that cannot end while the table of users is locked.
fn create(address: SocketAddr, number: usize) -> JoinHandle<std::io::Result<Answer>> {
    let new = json!({ "email": format!("late{number}@acme.com"), "name": "Late" });
    spawn_blocking(move || try_send(address, "POST", "/users", Some("acme"), Some(&new)))
}

/// Waits until so many requests of acme have a connection or wait for one.
fn wait_until_busy(server: &Server, requests: u64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let busy = || {
        let pools = server.get("/admin/pools", &[]).json();
        let of_acme = &pools["tenants"][0]["connections"];
        let count = |name: &str| of_acme[name].as_u64().unwrap_or_default();
        count("total") - count("idle") + count("waiting")
    };
    while busy() < requests {
        assert!(Instant::now() < deadline, "{} of {requests} requests have come", busy());
    }
}

const LOCK: &str = "lock table tenant_acme.users in exclusive mode";

/// More requests than there are connections, so some of them have none when the signal comes.
///
/// # Errors
///
/// There is no database to work with.
///
/// # Panics
///
/// The program ends otherwise.
///
/// # Cancel safety
///
/// It leaves a database behind until the process ends.
pub async fn finishes_all_requests_that_have_begun(
    start: impl Fn(&DevDatabase) -> Server,
) -> TestResult {
    const REQUESTS: usize = 12;
    let database = DevDatabase::create().await?;
    let mut server = start(&database);
    let mut admin = PgConnection::connect(database.url()).await?;
    let mut lock = admin.begin().await?;
    sqlx::raw_sql(LOCK).execute(&mut *lock).await?;
    let requests: Vec<_> = (0..REQUESTS).map(|n| create(server.address(), n)).collect();
    wait_until_busy(&server, REQUESTS as u64);

    server.terminate();
    server.wait_until_it_listens_no_more();
    assert!(requests.iter().all(|request| !request.is_finished()));
    lock.rollback().await?;
    for request in requests {
        assert_eq!(request.await??.status, 201);
    }
    server.wait_for_a_good_end();
    assert!(server.log().contains("all requests were answered"), "{}", server.log());

    let late = sqlx::query_scalar("select count(*) from tenant_acme.users where name = 'Late'");
    let late: i64 = late.fetch_one(&mut admin).await?;
    assert_eq!(late, REQUESTS as i64);
    database.close().await?;
    Ok(())
}

/// A request that does not end is cut.
///
/// # Errors
///
/// There is no database to work with.
///
/// # Panics
///
/// The program ends otherwise.
///
/// # Cancel safety
///
/// It leaves a database behind until the process ends.
pub async fn waits_ten_seconds_for_a_request_and_not_for_ever(
    start: impl Fn(&DevDatabase) -> Server,
) -> TestResult {
    let database = DevDatabase::create().await?;
    let mut server = start(&database);
    let mut admin = PgConnection::connect(database.url()).await?;
    let mut lock = admin.begin().await?;
    sqlx::raw_sql(LOCK).execute(&mut *lock).await?;
    let request = create(server.address(), 0);
    wait_until_busy(&server, 1);

    let told = Instant::now();
    server.terminate();
    assert!(request.await?.is_err(), "the request cannot have ended well");
    let cut_after = told.elapsed();
    server.wait_for_a_good_end();
    assert!(cut_after >= Duration::from_secs(10), "{cut_after:?}");
    assert!(server.log().contains("1 connection was closed"), "{}", server.log());
    lock.rollback().await?;
    database.close().await?;
    Ok(())
}
