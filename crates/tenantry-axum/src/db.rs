use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use tenantry::TenantDb;

use crate::{lookup, tenant_rejection::TenantRejection};

/// Extracts the database of the request's tenant.
///
/// It holds no connection: each statement takes one while it runs. If a stream of rows is the
/// response, it runs as long as the client reads it. So collect small results, and read large ones
/// in pages.
///
/// `Option<Db>` is `None` if an [optional](crate::TenantLayer::optional) layer found no tenant.
/// Outside of any layer it is rejected like `Db`, because a forgotten layer must not look like a
/// request without a tenant.
///
/// # Examples
///
/// ```no_run
/// use axum::Json;
/// use tenantry_axum::{Db, DbError};
///
/// async fn count(Db(db): Db) -> Result<Json<i64>, DbError> {
///     Ok(Json(sqlx::query_scalar("select count(*) from users").fetch_one(&db).await?))
/// }
///
/// async fn greet(db: Option<Db>) -> String {
///     match db {
///         Some(Db(db)) => format!("hello {}", db.tenant().id()),
///         None => "hello stranger".to_owned(),
///     }
/// }
/// # let _: axum::Router = axum::Router::new()
/// #     .route("/count", axum::routing::get(count))
/// #     .route("/greet", axum::routing::get(greet));
/// ```
#[derive(Debug, Clone)]
pub struct Db(pub TenantDb);

impl<S: Sync> FromRequestParts<S> for Db {
    type Rejection = TenantRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        lookup::required(&parts.extensions).map(|db| Self(db.clone()))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Db {
    type Rejection = TenantRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(lookup::optional(&parts.extensions)?.map(|db| Self(db.clone())))
    }
}
