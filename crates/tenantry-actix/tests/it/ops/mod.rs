//! What those who operate the service are told, and what nobody is.

mod health;
mod hostile_ids;
mod metrics;
mod metrics_auth;
mod probes;
mod routing;

use actix_web::App;
use tenantry::{MetricsOptions, TenantManager};
use tenantry_actix::{OpsScope, OpsService, RegisterError, ops_scope};

use crate::support::{Answer, TENANTS, TestServer, World, eventually, serve};

type Served = Result<TestServer, Box<dyn std::error::Error>>;

/// The routes alone, with their defaults.
fn open(manager: &TenantManager) -> Served {
    let manager = manager.clone();
    // Made anew by each worker, as it is written in most programs.
    Ok(serve!(App::new().service(ops_scope(manager.clone()))))
}

/// The routes alone.
fn alone(service: OpsService) -> Served {
    Ok(serve!(App::new().service(service.clone())))
}

/// The routes with everything on that names tenants.
fn talkative(manager: &TenantManager) -> Result<OpsService, RegisterError> {
    OpsScope::new(manager.clone())
        .tenant_details(true)
        .metrics(MetricsOptions::default().tenant_labels(10).process(true).runtime(true))
        .into_service()
}

/// Checks that an answer holds none of these words.
fn assert_free_of(answer: &Answer, words: &[&str]) {
    for word in words {
        assert!(!answer.body.contains(word), "{word} is in:\n{}", answer.body);
        for (name, value) in &answer.headers {
            assert!(!value.contains(word), "{word} is in {name}");
        }
    }
}

/// Where the data is, and whose.
fn secrets(world: &World) -> Vec<&str> {
    let names = [world.database.name(), "127.0.0.1", "localhost", "postgres"];
    names.into_iter().chain(TENANTS).collect()
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
