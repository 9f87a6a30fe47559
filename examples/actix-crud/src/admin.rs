//! Each tenant's connections. In production, `/admin` belongs behind authentication.

use actix_web::web::{Data, Json};
use serde_json::{Value, json};
use tenantry::TenantManager;

pub(crate) async fn pools(manager: Data<TenantManager>) -> Json<Value> {
    let metrics = manager.metrics();
    Json(json!({
        "count": metrics.pools.total,
        "maxConnections": metrics.max_connections,
        "connections": metrics.connections,
        "shared": metrics.shared,
        "tenants": metrics.pools.tenants,
    }))
}
