//! The plans, which are in the shared schema.

use actix_web::web::{Data, Json};
use serde::Serialize;
use sqlx::FromRow;
use tenantry::TenantManager;
use uuid::Uuid;

use crate::error::AppError;

#[derive(Serialize, FromRow)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    id: Uuid,
    name: String,
    max_users: Option<String>,
    price: Option<String>,
}

pub(crate) async fn list(manager: Data<TenantManager>) -> Result<Json<Vec<Plan>>, AppError> {
    let plans = sqlx::query_as("select * from plans order by name");
    Ok(Json(plans.fetch_all(manager.shared()).await?))
}
