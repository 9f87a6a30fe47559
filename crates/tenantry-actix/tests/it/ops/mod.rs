//! The routes for operators.

mod hostile_ids;
mod metrics;
mod metrics_auth;
mod routing;

use std::io;

use actix_web::App;
use tenantry::TenantManager;
use tenantry_acceptance::{
    Server,
    ops::{OpsSettings, ServesOps},
};
use tenantry_actix::{OpsScope, OpsService, RegisterError, ops_scope};

use crate::support::{TestServer, serve};

struct Actix;

tenantry_acceptance::ops_suite!(Actix);

impl ServesOps for Actix {
    async fn serve_defaults(manager: TenantManager) -> Server {
        let server = with_defaults(&manager).expect("a port is free");
        Server::new(server.address, server)
    }

    async fn serve(manager: TenantManager, settings: OpsSettings) -> Result<Server, RegisterError> {
        let server = alone(routes(manager, settings)?).expect("a port is free");
        Ok(Server::new(server.address, server))
    }
}

/// Serves only the routes, with their defaults. Each worker creates them, as in most programs.
fn with_defaults(manager: &TenantManager) -> io::Result<TestServer> {
    let manager = manager.clone();
    Ok(serve!(App::new().service(ops_scope(manager.clone()))))
}

/// Serves only these routes.
fn alone(service: OpsService) -> io::Result<TestServer> {
    Ok(serve!(App::new().service(service.clone())))
}

/// Returns the routes with these settings.
fn routes(manager: TenantManager, settings: OpsSettings) -> Result<OpsService, RegisterError> {
    let mut scope = OpsScope::new(manager);
    if let Some(tell) = settings.tenant_details {
        scope = scope.tenant_details(tell);
    }
    if let Some(timeout) = settings.ping_timeout {
        scope = scope.ping_timeout(timeout);
    }
    if let Some(metrics) = settings.metrics {
        scope = scope.metrics(metrics);
    }
    if let Some(registry) = settings.registry {
        scope = scope.registry(registry);
    }
    if let Some((user, password)) = settings.basic_auth {
        scope = scope.basic_auth(user, password);
    }
    scope.into_service()
}
