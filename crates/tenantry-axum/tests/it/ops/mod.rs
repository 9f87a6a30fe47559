//! What those who operate the service are told, and what nobody is.

mod health;
mod hostile_ids;
mod metrics;
mod metrics_auth;
mod probes;
mod routing;

use axum::Router;
use sqlx::{Connection, PgConnection};
use tenantry::{MetricsOptions, TenantManager};
use tenantry_axum::{OpsRoutes, RegisterError};
use tenantry_devdb::DevServer;

use crate::support::{Answer, SETUP, TENANTS, World, eventually};

/// The routes with everything on that names tenants.
fn talkative(manager: &TenantManager) -> Result<Router, RegisterError> {
    OpsRoutes::new(manager.clone())
        .tenant_details(true)
        .metrics(MetricsOptions::default().tenant_labels(10).process(true).runtime(true))
        .into_router()
}

/// Checks that an answer holds none of these words.
fn assert_free_of(answer: &Answer, words: &[&str]) {
    for word in words {
        assert!(!answer.body.contains(word), "{word} is in:\n{}", answer.body);
        for (name, value) in &answer.headers {
            assert!(
                !String::from_utf8_lossy(value.as_bytes()).contains(word),
                "{word} is in {name}"
            );
        }
    }
}

/// Where the data is, and whose.
fn secrets(world: &World) -> Vec<&str> {
    let names = [world.database.name(), "127.0.0.1", "localhost", "postgres"];
    names.into_iter().chain(TENANTS).collect()
}

/// A server of the test's own with the same tenants, to be stopped and started.
async fn private_server() -> DevServer {
    let server = DevServer::start().await.expect("a server can be started");
    let mut admin = PgConnection::connect(&server.url()).await.expect("the server is running");
    sqlx::raw_sql(SETUP).execute(&mut admin).await.expect("the statements are sound");
    server
}

/// Gives each of these tenants a connection that is idle.
async fn use_tenants(manager: &TenantManager, tenants: &[&str]) {
    let mut leases = Vec::new();
    for tenant in tenants {
        let db = manager.tenant(*tenant).await.expect("there is such a tenant");
        leases.push(db.acquire().await.expect("there is a connection"));
    }
    drop(leases);
    eventually("nobody leases", async || manager.snapshot().leased == 0).await;
}
