//! The plans, which are in the shared schema.

use axum::{Json, extract::State};
use serde::Serialize;
use sqlx::{FromRow, Row, postgres::PgRow};
use tenantry::TenantManager;
use uuid::Uuid;

use crate::error::AppError;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    id: Uuid,
    name: String,
    max_users: Option<String>,
    price: Option<String>,
}

impl FromRow<'_, PgRow> for Plan {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            max_users: row.try_get("max_users")?,
            price: row.try_get("price")?,
        })
    }
}

pub(crate) async fn list(
    State(manager): State<TenantManager>,
) -> Result<Json<Vec<Plan>>, AppError> {
    let plans = sqlx::query_as("select * from plans order by name");
    Ok(Json(plans.fetch_all(manager.shared()).await?))
}
