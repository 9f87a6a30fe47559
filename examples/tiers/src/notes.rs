//! The handlers. A statement names no tenant, no schema and no key.

use axum::{Json, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tenantry_axum::{CurrentTenant, Db, DbError};

#[derive(Deserialize)]
pub(crate) struct NewNote {
    text: String,
}

pub(crate) async fn list(Db(db): Db) -> Result<Json<Vec<String>>, DbError> {
    Ok(Json(sqlx::query_scalar("select text from notes order by at").fetch_all(&db).await?))
}

pub(crate) async fn add(Db(db): Db, Json(note): Json<NewNote>) -> Result<StatusCode, DbError> {
    let insert = sqlx::query("insert into notes (text) values ($1)");
    insert.bind(note.text).execute(&db).await?;
    Ok(StatusCode::CREATED)
}

/// Shows where the tenant's data is. Only this example tells it to clients.
pub(crate) async fn place(CurrentTenant(tenant): CurrentTenant) -> Json<Value> {
    let place = tenant.placement();
    Json(json!({
        "isolation": place.isolation(),
        "server": place.server(),
        "database": place.database().map(ToString::to_string),
        "schema": place.container().to_string(),
    }))
}
