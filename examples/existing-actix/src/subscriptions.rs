//! Newsletter subscriptions: handlers, and the functions that they call with the pool or a
//! transaction.

use actix_web::{
    HttpResponse,
    web::{Json, Path},
};
use serde::{Deserialize, Serialize};
use sqlx::{Executor, FromRow, Postgres, Transaction};
use tenantry_actix::{Db, TenantDb};

use crate::error::AppError;

#[derive(Deserialize)]
pub(crate) struct NewSubscriber {
    email: String,
}

#[derive(Serialize, FromRow)]
pub(crate) struct Subscription {
    email: String,
    confirmed: bool,
}

pub(crate) async fn subscribe(
    Json(new): Json<NewSubscriber>,
    Db(pool): Db,
) -> Result<HttpResponse, AppError> {
    let token = pool
        .transaction(async |tx| {
            let id = insert_subscriber(tx, &new).await?;
            store_token(tx, id).await
        })
        .await?;
    // In production it is sent by e-mail.
    Ok(HttpResponse::Created().json(token))
}

pub(crate) async fn confirm(token: Path<String>, Db(pool): Db) -> Result<HttpResponse, AppError> {
    let id = find_by_token(&pool, &token).await?.ok_or(AppError::NotFound)?;
    let confirmed = sqlx::query("update subscriptions set confirmed = true where id = $1").bind(id);
    (&pool).execute(confirmed).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(crate) async fn list(Db(pool): Db) -> Result<Json<Vec<Subscription>>, AppError> {
    let all = sqlx::query_as("select email, confirmed from subscriptions order by id");
    Ok(Json(all.fetch_all(&pool).await?))
}

pub(crate) async fn unsubscribe(
    email: Path<String>,
    Db(pool): Db,
) -> Result<HttpResponse, AppError> {
    let deleted = sqlx::query("delete from subscriptions where email = $1").bind(email.as_str());
    match deleted.execute(&pool).await?.rows_affected() {
        0 => Err(AppError::NotFound),
        _ => Ok(HttpResponse::NoContent().finish()),
    }
}

async fn find_by_token(pool: &TenantDb, token: &str) -> sqlx::Result<Option<i64>> {
    let id = "select subscription_id from subscription_tokens where token = $1";
    sqlx::query_scalar(id).bind(token).fetch_optional(pool).await
}

async fn insert_subscriber(
    tx: &mut Transaction<'_, Postgres>,
    new: &NewSubscriber,
) -> sqlx::Result<i64> {
    let insert = "insert into subscriptions (email) values ($1) returning id";
    sqlx::query_scalar(insert).bind(&new.email).fetch_one(&mut **tx).await
}

async fn store_token(tx: &mut Transaction<'_, Postgres>, id: i64) -> sqlx::Result<String> {
    let insert = "insert into subscription_tokens (subscription_id) values ($1) returning token";
    sqlx::query_scalar(insert).bind(id).fetch_one(&mut **tx).await
}
