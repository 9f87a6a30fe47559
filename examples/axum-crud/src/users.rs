//! The users of one tenant. No statement names a tenant or a schema.

use axum::{Json, extract::Path, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row, postgres::PgRow};
use tenantry_axum::{Db, TenantDb, TxWith};
use uuid::Uuid;

use crate::error::AppError;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    id: Uuid,
    email: String,
    name: String,
    active: bool,
    created_at: DateTime<Utc>,
}

/// What `#[derive(FromRow)]` writes. sqlx's macros would compile sqlx a second time, and you wait for the first build.
impl FromRow<'_, PgRow> for User {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            email: row.try_get("email")?,
            name: row.try_get("name")?,
            active: row.try_get("active")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

#[derive(Deserialize)]
pub(crate) struct NewUser {
    email: String,
    name: String,
}

/// What is left out stays as it is.
#[derive(Deserialize)]
pub(crate) struct UserChange {
    email: Option<String>,
    name: Option<String>,
    active: Option<bool>,
}

pub(crate) async fn list(Db(db): Db) -> Result<Json<Vec<User>>, AppError> {
    all(&db).await
}

/// Lists users on a handle that has been validated first: when the database does not answer, it is
/// tried again for a while.
pub(crate) async fn list_validated(Db(db): Db) -> Result<Json<Vec<User>>, AppError> {
    let db = db.ready().await?;
    all(&db).await
}

async fn all(db: &TenantDb) -> Result<Json<Vec<User>>, AppError> {
    let users = sqlx::query_as("select * from users order by created_at, email");
    Ok(Json(users.fetch_all(db).await?))
}

pub(crate) async fn create(
    TxWith(mut tx, Json(new)): TxWith<Json<NewUser>>,
) -> Result<(StatusCode, Json<User>), AppError> {
    let user = sqlx::query_as("insert into users (email, name) values ($1, $2) returning *")
        .bind(new.email)
        .bind(new.name)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(user)))
}

pub(crate) async fn show(Db(db): Db, Path(id): Path<Uuid>) -> Result<Json<User>, AppError> {
    let user = sqlx::query_as("select * from users where id = $1").bind(id);
    user.fetch_optional(&db).await?.map(Json).ok_or(AppError::NoSuchUser)
}

pub(crate) async fn update(
    Db(db): Db,
    Path(id): Path<Uuid>,
    Json(change): Json<UserChange>,
) -> Result<Json<User>, AppError> {
    let user = sqlx::query_as(
        "update users
         set email = coalesce($2, email), name = coalesce($3, name), active = coalesce($4, active)
         where id = $1
         returning *",
    )
    .bind(id)
    .bind(change.email)
    .bind(change.name)
    .bind(change.active);
    user.fetch_optional(&db).await?.map(Json).ok_or(AppError::NoSuchUser)
}

pub(crate) async fn delete(Db(db): Db, Path(id): Path<Uuid>) -> Result<StatusCode, AppError> {
    let deleted = sqlx::query("delete from users where id = $1").bind(id).execute(&db).await?;
    match deleted.rows_affected() {
        0 => Err(AppError::NoSuchUser),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
