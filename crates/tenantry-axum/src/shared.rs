use axum_core::extract::FromRequestParts;
use http::request::Parts;
use tenantry::SharedDb;

use crate::{lookup, tenant_rejection::TenantRejection};

/// Extracts the schema that all tenants share, for example with plans, prices or the tenants table.
///
/// It needs no tenant. Inside a [`TenantLayer`](crate::TenantLayer), even an
/// [optional](crate::TenantLayer::optional) one without a tenant, it is the shared schema of that
/// layer's manager. On other routes it comes from an `axum::Extension` with the
/// [`TenantManager`](tenantry::TenantManager):
///
/// ```no_run
/// use axum::{Extension, Json, Router, routing::get};
/// use tenantry_axum::{Db, DbError, Shared, TenantLayer};
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
/// # fn example(manager: tenantry::TenantManager) -> Router {
/// Router::new()
///     .route("/limit", get(limit))
///     .layer(TenantLayer::new(manager.clone()))
///     .route("/plans", get(plans))
///     .layer(Extension(manager))
/// # }
/// ```
///
/// If the manager is in the router's state, `State(manager)` and
/// [`manager.shared()`](tenantry::TenantManager::shared) are equivalent.
///
/// Every caller of the route reads the same rows: filter by tenant where that matters, as above.
#[derive(Debug, Clone)]
pub struct Shared(pub SharedDb);

impl<S: Sync> FromRequestParts<S> for Shared {
    type Rejection = TenantRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        lookup::shared(&parts.extensions).map(Self)
    }
}
