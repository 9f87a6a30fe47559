//! The order in which a service ends: readiness, requests, the manager.

use std::time::{Duration, Instant};

use tenantry::{TenantManager, serve::ServeOptions};
use tenantry_devdb::DevDatabase;
use tokio::time::sleep;

use super::{
    Serves,
    running::{AMPLE, Running, SHORT, SLACK},
};
use crate::{
    client::Connection,
    stage::{catalog, offline, setup},
    world::eventually,
};

/// A database with tenants in it, and a manager.
async fn world() -> (DevDatabase, TenantManager) {
    let database = DevDatabase::from_template(&setup()).await.expect("a server can be started");
    let manager = TenantManager::builder(database.url()).catalog(catalog());
    let manager = manager.build().expect("the configuration is sound");
    (database, manager)
}

impl Running {
    async fn status_of(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nconnection: close");
        self.send(&request).await.read_to_end().await.chars().skip(9).take(3).collect()
    }
}

/// `/readyz` answers 503 while requests are still accepted, for the whole delay.
pub async fn readiness_goes_first<S: Serves>() {
    const DELAY: Duration = Duration::from_millis(600);
    let (_database, manager) = world().await;
    let options = ServeOptions::default().drain(AMPLE).ready_delay(DELAY);
    let server = Running::with::<S>(manager, options);
    assert_eq!(server.status_of("/readyz").await, "200");
    let began = Instant::now();
    server.tell();
    eventually("it is not ready", async || server.status_of("/readyz").await == "503").await;
    assert_eq!(server.status_of("/livez").await, "200");
    assert_eq!(server.status_of("/quick").await, "200");
    assert!(began.elapsed() < DELAY, "too slow to tell");
    let report = server.stops().drained().await;
    assert!(report.drain >= DELAY, "{report}");
}

/// The application begins to close the manager, by itself.
pub async fn closing_the_manager_stops_the_server<S: Serves>() {
    let server = Running::start::<S>(AMPLE);
    assert_eq!(server.status_of("/quick").await, "200");
    let manager = server.manager.clone();
    manager.begin_closing();
    server.stops().drained().await;
    assert!(manager.is_closed());
}

/// Their connections come back in time for the manager to close without a wait.
pub async fn cut_transactions_are_rolled_back<S: Serves>() {
    let (database, manager) = world().await;
    let options = ServeOptions::default().drain(SHORT).close_within(AMPLE);
    let server = Running::with::<S>(manager.clone(), options);
    let client = server.send("POST /tx HTTP/1.1\r\nx-tenant-id: acme\r\ncontent-length: 0").await;
    server.wait_until_begun().await;
    let stopping = server.stop();
    let report = stopping.cut_report().await;
    assert!(report.close < SLACK, "{report}");
    assert!(manager.is_closed());
    drop(client);
    let again = TenantManager::builder(database.url()).catalog(catalog());
    let again = again.build().expect("the configuration is sound");
    let acme = again.tenant("acme").await.expect("there is such a tenant");
    let count = sqlx::query_scalar::<_, i64>("select count(*) from users").fetch_one(&acme).await;
    assert_eq!(count.expect("the database is running"), 1);
    again.close().await;
}

/// A task of the program has taken it.
pub async fn a_lease_that_is_kept_is_not_waited_for<S: Serves>() {
    let (_database, manager) = world().await;
    let options = ServeOptions::default().drain(AMPLE).close_within(SHORT);
    let server = Running::with::<S>(manager.clone(), options);
    assert_eq!(server.status_of("/quick").await, "200");
    let acme = manager.tenant("acme").await.expect("there is such a tenant");
    let lease = acme.acquire().await.expect("the database is running");
    let report = server.stop().drained().await;
    assert!(report.close >= SHORT && report.close < SHORT + SLACK, "{report}");
    assert!(manager.is_closed());
    drop(lease);
}

/// One for customers and one for operators: the manager is closed when both have drained, whichever is first.
pub async fn two_servers_share_a_manager<S: Serves>() {
    let manager = offline();
    let start = || Running::with::<S>(manager.clone(), ServeOptions::default().drain(AMPLE));
    let (public, operators) = (start(), start());
    let mut client = public.half_a_body().await;
    assert_eq!(operators.status_of("/livez").await, "200");
    let (public, operators) = (public.stops(), operators.stop());
    eventually("the other has drained", async || !Connection::listens_at(operators.address).await)
        .await;
    // Time enough to close what is in use.
    sleep(SHORT).await;
    assert!(!manager.is_closed(), "it was closed while a request was under way");
    client.write(b"seven b").await;
    assert!(client.until_closed().await.ends_with("10"));
    for server in [public, operators] {
        server.drained().await;
    }
    assert!(manager.is_closed());
}
