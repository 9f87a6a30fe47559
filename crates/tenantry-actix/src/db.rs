use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenantry::TenantDb;

use crate::{
    lookup,
    optional::FromTenant,
    tenant_rejection::{TenantRejection, TxRejection},
};

/// Extracts the database of the request's tenant.
///
/// It holds no connection: each statement takes one while it runs. If a stream of rows is the
/// response, it runs as long as the client reads it. So collect small results, and read large ones
/// in pages.
///
/// Behind an [optional](crate::TenantMiddleware::optional) middleware, use
/// [`Optional<Db>`](crate::Optional).
///
/// # Examples
///
/// ```no_run
/// use actix_web::web::{self, Json};
/// use tenantry_actix::{Db, DbError, Optional};
///
/// async fn count(Db(db): Db) -> Result<Json<i64>, DbError> {
///     Ok(Json(sqlx::query_scalar("select count(*) from users").fetch_one(&db).await?))
/// }
///
/// async fn greet(Optional(db): Optional<Db>) -> String {
///     match db {
///         Some(Db(db)) => format!("hello {}", db.tenant().id()),
///         None => "hello stranger".to_owned(),
///     }
/// }
/// # let _ = actix_web::App::new()
/// #     .route("/count", web::get().to(count))
/// #     .route("/greet", web::get().to(greet));
/// ```
#[derive(Debug, Clone)]
pub struct Db(pub TenantDb);

impl FromRequest for Db {
    type Error = TenantRejection;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(lookup::required(request).map(Self))
    }
}

impl FromTenant for Db {
    async fn from_tenant(db: TenantDb) -> Result<Self, TxRejection> {
        Ok(Self(db))
    }
}
