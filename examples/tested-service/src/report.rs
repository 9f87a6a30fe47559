use axum::{Json, extract::State};
use tenantry::{Error, TenantManager};
use tenantry_axum::DbError;

pub(crate) async fn show(State(manager): State<TenantManager>) -> Result<Json<i64>, DbError> {
    Ok(Json(orders_of_all_tenants(&manager).await?))
}

/// Counts the orders of all tenants.
///
/// # Errors
///
/// If the tenants cannot be listed, or one of them cannot be read.
pub async fn orders_of_all_tenants(manager: &TenantManager) -> Result<i64, Error> {
    let mut orders = 0;
    for tenant in manager.tenants().await? {
        let db = manager.tenant(tenant.id).await?;
        let count = sqlx::query_scalar!(r#"select count(*) as "count!" from orders"#);
        orders += count.fetch_one(&db).await?;
    }
    Ok(orders)
}
