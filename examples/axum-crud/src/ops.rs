//! What is asked about the service itself. In earnest, `/admin` belongs behind authentication.

use std::{env, error::Error};

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};
use tenantry::{MetricsOptions, TenantManager};
use tenantry_axum::OpsRoutes;

/// Makes `/health`, `/livez`, `/readyz`, `/metrics` and `/admin/pools`. None of them needs a tenant.
pub(crate) fn routes(manager: TenantManager) -> Result<Router, Box<dyn Error>> {
    let metrics =
        MetricsOptions::default().tenant_labels(tenants_shown()?).process(true).runtime(true);
    let mut routes = OpsRoutes::new(manager.clone()).metrics(metrics);
    if let Some((user, password)) = credentials()? {
        routes = routes.basic_auth(user, password);
    }
    let admin = Router::new().route("/admin/pools", get(pools)).with_state(manager);
    Ok(routes.into_router()?.merge(admin))
}

/// Reads who may see `/metrics`. One of the two alone is a mistake that must not leave it open.
fn credentials() -> Result<Option<(String, String)>, Box<dyn Error>> {
    match (variable("METRICS_USER")?, variable("METRICS_PASS")?) {
        (Some(user), Some(password)) => Ok(Some((user, password))),
        (None, None) => Ok(None),
        _ => Err("set both METRICS_USER and METRICS_PASS, or neither".into()),
    }
}

/// Reads how many tenants have series of their own. `/metrics` names none unless it is asked for.
fn tenants_shown() -> Result<usize, Box<dyn Error>> {
    let most = variable("METRICS_TENANTS")?.map_or(Ok(0), |most| most.parse());
    most.map_err(|_| "METRICS_TENANTS must be a number".into())
}

/// Reads a variable of the environment; an empty one counts as none.
fn variable(name: &str) -> Result<Option<String>, env::VarError> {
    match env::var(name) {
        Err(env::VarError::NotPresent) => Ok(None),
        read => read.map(|value| Some(value).filter(|value| !value.is_empty())),
    }
}

async fn pools(State(manager): State<TenantManager>) -> Json<Value> {
    let metrics = manager.metrics();
    Json(json!({
        "count": metrics.pools.total,
        "maxConnections": metrics.max_connections,
        "connections": metrics.connections,
        "shared": metrics.shared,
        "tenants": metrics.pools.tenants,
    }))
}
