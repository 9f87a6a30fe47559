//! The routes for operators.

mod hostile_ids;
mod metrics;
mod metrics_auth;
mod routing;

use axum::Router;
use tenantry::TenantManager;
use tenantry_acceptance::{
    Server,
    ops::{OpsSettings, ServesOps},
};
use tenantry_axum::{OpsRoutes, RegisterError, ops_routes};

use crate::acceptance::serve;

struct Axum;

tenantry_acceptance::ops_suite!(Axum);

impl ServesOps for Axum {
    async fn serve_defaults(manager: TenantManager) -> Server {
        serve(ops_routes(manager)).await
    }

    async fn serve(manager: TenantManager, settings: OpsSettings) -> Result<Server, RegisterError> {
        Ok(serve(routes(manager, settings)?).await)
    }
}

/// Returns the routes with these settings.
fn routes(manager: TenantManager, settings: OpsSettings) -> Result<Router, RegisterError> {
    let mut routes = OpsRoutes::new(manager);
    if let Some(tell) = settings.tenant_details {
        routes = routes.tenant_details(tell);
    }
    if let Some(timeout) = settings.ping_timeout {
        routes = routes.ping_timeout(timeout);
    }
    if let Some(metrics) = settings.metrics {
        routes = routes.metrics(metrics);
    }
    if let Some(registry) = settings.registry {
        routes = routes.registry(registry);
    }
    if let Some((user, password)) = settings.basic_auth {
        routes = routes.basic_auth(user, password);
    }
    routes.into_router()
}
