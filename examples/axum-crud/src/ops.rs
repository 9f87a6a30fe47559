//! What is asked about the service itself. In earnest, `/admin` belongs behind authentication.

use axum::{Json, extract::State};
use serde_json::{Value, json};
use tenantry::TenantManager;

pub(crate) async fn health(State(manager): State<TenantManager>) -> Json<Value> {
    Json(json!({ "status": "ok", "pools": manager.snapshot().tenants.len() }))
}

pub(crate) async fn pools(State(manager): State<TenantManager>) -> Json<Value> {
    let pool = manager.snapshot();
    let tenants = pool.tenants.iter().map(|of| {
        json!({
            "tenant": of.tenant.as_str(),
            "total": of.total,
            "idle": of.idle,
            "waiting": of.waiting,
        })
    });
    Json(json!({
        "count": pool.tenants.len(),
        "connections": {
            "max": pool.max,
            "total": pool.total,
            "idle": pool.idle,
            "leased": pool.leased,
            "waiting": pool.waiting,
        },
        "acquires": {
            "hit": pool.acquires.hit,
            "rebind": pool.acquires.rebind,
            "open": pool.acquires.open,
            "timeout": pool.acquires.timeout,
            "refused": pool.acquires.refused,
        },
        "tenants": tenants.collect::<Vec<_>>(),
    }))
}
