// Compiles: the crates that the mistakes are made with belong together.

use axum::{Router, routing::get};
use tenantry_axum::{Db, DbError, TenantLayer};

async fn count(Db(db): Db) -> Result<String, DbError> {
    let count: i64 = sqlx::query_scalar("select 1::bigint").fetch_one(&db).await?;
    Ok(count.to_string())
}

pub fn app(manager: tenantry::TenantManager) -> Router {
    Router::new().route("/", get(count)).layer(TenantLayer::new(manager))
}
