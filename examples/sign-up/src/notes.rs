//! The notes of a tenant.

use axum::{Json, http::StatusCode};
use serde::Deserialize;
use tenantry_axum::{Db, DbError};

#[derive(Deserialize)]
pub(crate) struct NewNote {
    text: String,
}

pub(crate) async fn list(Db(db): Db) -> Result<Json<Vec<String>>, DbError> {
    Ok(Json(sqlx::query_scalar("select text from notes order by id").fetch_all(&db).await?))
}

pub(crate) async fn create(Db(db): Db, Json(note): Json<NewNote>) -> Result<StatusCode, DbError> {
    sqlx::query("insert into notes (text) values ($1)").bind(note.text).execute(&db).await?;
    Ok(StatusCode::CREATED)
}
