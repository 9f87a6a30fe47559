use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use tenantry::TenantManager;
use tenantry_axum::{Db, DbError, TenantLayer};
use tokio::net::TcpListener;

use super::query::{self, Bare, Item};
use crate::failure::Failure;

pub(super) async fn bare(listener: TcpListener, bare: Bare) -> Result<(), Failure> {
    let app = Router::new().route("/items/{id}", get(bare_item)).with_state(bare);
    Ok(axum::serve(listener, app).await?)
}

pub(super) async fn tenantry(listener: TcpListener, manager: TenantManager) -> Result<(), Failure> {
    let app = Router::new().route("/items/{id}", get(item)).layer(TenantLayer::new(manager));
    Ok(axum::serve(listener, app).await?)
}

async fn bare_item(
    State(bare): State<Bare>,
    Path(id): Path<i32>,
) -> Result<Json<Item>, StatusCode> {
    bare.item(id).await.map(Json).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn item(Db(db): Db, Path(id): Path<i32>) -> Result<Json<Item>, DbError> {
    Ok(Json(query::of_tenant(&db, id).await?))
}
