//! Routes about the service itself. In production, `/admin` belongs behind authentication.

use std::env;

use anyhow::{Context as _, bail};
use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};
use tenantry::{MetricsOptions, TenantManager};
use tenantry_axum::OpsRoutes;

/// Creates `/health`, `/livez`, `/readyz`, `/metrics` and `/admin/pools`. None of them needs a
/// tenant.
pub(crate) fn routes(manager: TenantManager) -> anyhow::Result<Router> {
    let metrics =
        MetricsOptions::default().tenant_labels(tenants_shown()?).process(true).runtime(true);
    let mut routes = OpsRoutes::new(manager.clone()).metrics(metrics);
    if let Some((user, password)) = credentials()? {
        routes = routes.basic_auth(user, password);
    }
    let admin = Router::new().route("/admin/pools", get(pools)).with_state(manager);
    Ok(routes.into_router()?.merge(admin))
}

/// Reads the credentials for `/metrics`. Setting only one of the two is an error, and must not
/// leave it open.
fn credentials() -> anyhow::Result<Option<(String, String)>> {
    match (variable("METRICS_USER")?, variable("METRICS_PASS")?) {
        (Some(user), Some(password)) => Ok(Some((user, password))),
        (None, None) => Ok(None),
        _ => bail!("set both METRICS_USER and METRICS_PASS, or neither"),
    }
}

/// Reads how many tenants get separate series. By default, `/metrics` names none.
fn tenants_shown() -> anyhow::Result<usize> {
    let most = variable("METRICS_TENANTS")?.map_or(Ok(0), |most| most.parse());
    most.context("METRICS_TENANTS must be a number")
}

/// Reads an environment variable; an empty one counts as unset.
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
