use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenantry::SharedDb;

use crate::{lookup, tenant_rejection::TenantRejection};

/// Extracts the schema that all tenants share, for example with plans, prices or the tenants table.
///
/// It needs no tenant. Inside a [`TenantMiddleware`](crate::TenantMiddleware), even an
/// [optional](crate::TenantMiddleware::optional) one without a tenant, it is the shared schema of
/// that middleware's manager. On other routes it comes from the
/// [`TenantManager`](tenantry::TenantManager) in `app_data`, with or without `web::Data` around it:
///
/// ```no_run
/// use actix_web::{App, web::{self, Json}};
/// use tenantry_actix::{Db, DbError, Shared, TenantMiddleware};
///
/// async fn plans(Shared(shared): Shared) -> Result<Json<Vec<String>>, DbError> {
///     Ok(Json(sqlx::query_scalar("select name from plans").fetch_all(&shared).await?))
/// }
///
/// async fn limit(Db(db): Db, Shared(shared): Shared) -> Result<Json<i64>, DbError> {
///     let limit = sqlx::query_scalar("select max_users from plans where tenant = $1");
///     Ok(Json(limit.bind(db.tenant().id().as_str()).fetch_one(&shared).await?))
/// }
///
/// # fn example(manager: tenantry::TenantManager) {
/// let app = App::new()
///     .app_data(manager.clone())
///     .route("/plans", web::get().to(plans))
///     .service(
///         web::scope("")
///             .wrap(TenantMiddleware::new(manager))
///             .route("/limit", web::get().to(limit)),
///     );
/// # }
/// ```
///
/// Every caller of the route reads the same rows: filter by tenant where that matters, as above.
#[derive(Debug, Clone)]
pub struct Shared(pub SharedDb);

impl FromRequest for Shared {
    type Error = TenantRejection;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(lookup::shared(request).map(Self))
    }
}
