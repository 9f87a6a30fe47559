use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenantry::SharedDb;

use crate::{lookup, tenant_rejection::TenantRejection};

/// Extracts the schema that all tenants share: plans, prices, the table of tenants.
///
/// It needs no tenant. Inside of a [`TenantMiddleware`](crate::TenantMiddleware) it is the shared schema of
/// that middleware's manager, also where it is [optional](crate::TenantMiddleware::optional) and the
/// request has no tenant. On routes outside of any middleware it comes from the
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
/// Everybody who reaches the route reads the same rows: filter by tenant where that matters, as above.
#[derive(Debug, Clone)]
pub struct Shared(pub SharedDb);

impl FromRequest for Shared {
    type Error = TenantRejection;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(lookup::shared(request).map(Self))
    }
}
