use std::net::TcpListener;

use actix_web::{App, HttpServer, error::ErrorInternalServerError, web};
use tenantry::TenantManager;
use tenantry_actix::{Db, DbError, TenantMiddleware};

use super::query::{self, Bare, Item};
use crate::failure::Failure;

/// Runs a future on actix's own system.
pub(super) fn run(future: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    actix_web::rt::System::new().block_on(future)
}

pub(super) async fn bare(listener: TcpListener, bare: Bare) -> Result<(), Failure> {
    let app = move || {
        let bare = web::Data::new(bare.clone());
        App::new().app_data(bare).route("/items/{id}", web::get().to(bare_item))
    };
    Ok(HttpServer::new(app).listen(listener)?.run().await?)
}

pub(super) async fn tenantry(listener: TcpListener, manager: TenantManager) -> Result<(), Failure> {
    let app = move || {
        let tenants = TenantMiddleware::new(manager.clone());
        App::new().wrap(tenants).route("/items/{id}", web::get().to(item))
    };
    Ok(HttpServer::new(app).listen(listener)?.run().await?)
}

async fn bare_item(
    bare: web::Data<Bare>,
    id: web::Path<i32>,
) -> actix_web::Result<web::Json<Item>> {
    bare.item(*id).await.map(web::Json).map_err(ErrorInternalServerError)
}

async fn item(Db(db): Db, id: web::Path<i32>) -> Result<web::Json<Item>, DbError> {
    Ok(web::Json(query::of_tenant(&db, *id).await?))
}
