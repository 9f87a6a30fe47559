//! Customers: handlers, and the functions that they call with the pool.

use axum::{Extension as State, Json, extract::Path, http::StatusCode};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use tenantry_axum::TenantDb;

use crate::{error::AppError, state::AppState};

#[derive(Serialize, FromRow)]
pub(crate) struct Customer {
    id: i64,
    name: String,
}

#[derive(Deserialize)]
pub(crate) struct Change {
    name: String,
}

pub(crate) async fn list(State(state): State<AppState>) -> Result<Json<Vec<Customer>>, AppError> {
    let customers = sqlx::query_as("select id, name from customers order by id");
    Ok(Json(customers.fetch_all(&state.db).await?))
}

pub(crate) async fn create(
    State(state): State<AppState>,
    Json(new): Json<Change>,
) -> Result<(StatusCode, Json<Customer>), AppError> {
    let customer = sqlx::query_as("insert into customers (name) values ($1) returning id, name")
        .bind(new.name)
        .fetch_one(&state.db)
        .await?;
    Ok((StatusCode::CREATED, Json(customer)))
}

pub(crate) async fn show(
    State(state): State<AppState>,
    Path(id): Path<i64>,
) -> Result<Json<Customer>, AppError> {
    find(&state.db, id).await?.map(Json).ok_or(AppError::NotFound)
}

pub(crate) async fn rename(
    State(state): State<AppState>,
    Path(id): Path<i64>,
    Json(change): Json<Change>,
) -> Result<Json<Customer>, AppError> {
    sqlx::query("update customers set name = $2 where id = $1")
        .bind(id)
        .bind(change.name)
        .execute(&state.db)
        .await?;
    find(&state.db, id).await?.map(Json).ok_or(AppError::NotFound)
}

pub(crate) async fn delete(
    State(state): State<AppState>,
    Path(id): Path<i64>,
) -> Result<StatusCode, AppError> {
    sqlx::query("delete from customers where id = $1").bind(id).execute(&state.db).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(db: &TenantDb, id: i64) -> sqlx::Result<Option<Customer>> {
    let customer = sqlx::query_as("select id, name from customers where id = $1").bind(id);
    customer.fetch_optional(db).await
}
