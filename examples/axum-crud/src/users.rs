//! Routes for the users of one tenant.

use axum::{Json, extract::Path, http::StatusCode};
use tenantry_axum::{Db, TxWith};
use uuid::Uuid;

use crate::{
    error::AppError,
    user::{NewUser, User, UserChange},
};

pub(crate) async fn list(Db(db): Db) -> Result<Json<Vec<User>>, AppError> {
    Ok(Json(User::all(&db).await?))
}

/// Lists users on a handle that was validated first, with retries if the database does not answer.
pub(crate) async fn list_validated(Db(db): Db) -> Result<Json<Vec<User>>, AppError> {
    Ok(Json(User::all(&db.ready().await?).await?))
}

pub(crate) async fn create(
    TxWith(mut tx, Json(new)): TxWith<Json<NewUser>>,
) -> Result<(StatusCode, Json<User>), AppError> {
    let user = User::create(&mut tx, new).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(user)))
}

pub(crate) async fn show(Db(db): Db, Path(id): Path<Uuid>) -> Result<Json<User>, AppError> {
    User::find(&db, id).await?.map(Json).ok_or(AppError::NoSuchUser)
}

pub(crate) async fn update(
    Db(db): Db,
    Path(id): Path<Uuid>,
    Json(change): Json<UserChange>,
) -> Result<Json<User>, AppError> {
    User::update(&db, id, change).await?.map(Json).ok_or(AppError::NoSuchUser)
}

pub(crate) async fn delete(Db(db): Db, Path(id): Path<Uuid>) -> Result<StatusCode, AppError> {
    match User::delete(&db, id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(AppError::NoSuchUser),
    }
}
