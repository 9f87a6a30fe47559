//! A client that goes away takes its statement along.

use std::{
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection};
use tenantry_devdb::DevDatabase;

use crate::{TestResult, start};

/// Statements of the program that wait for the lock of a table.
async fn waiting(admin: &mut PgConnection) -> sqlx::Result<i64> {
    let count = sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query like '%users%'",
    );
    count.fetch_one(admin).await
}

async fn wait_until_waiting(admin: &mut PgConnection, expected: i64) -> TestResult {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let now = waiting(admin).await?;
        if now == expected {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "{now} of {expected} statements wait");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn cancels_what_runs_for_it() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = start(&database);
    let mut admin = PgConnection::connect(database.url()).await?;
    let mut holder = PgConnection::connect(database.url()).await?;
    let mut lock = holder.begin().await?;
    let exclusive = "lock table tenant_acme.users in access exclusive mode";
    sqlx::raw_sql(exclusive).execute(&mut *lock).await?;

    let mut client = TcpStream::connect(server.address())?;
    client.write_all(b"GET /users HTTP/1.1\r\nhost: x\r\nx-tenant-id: acme\r\n\r\n")?;
    wait_until_waiting(&mut admin, 1).await?;
    drop(client);
    wait_until_waiting(&mut admin, 0).await?;

    lock.rollback().await?;
    assert_eq!(server.send("GET", "/users", Some("acme"), None).status, 200);
    server.stop();
    database.close().await?;
    Ok(())
}
