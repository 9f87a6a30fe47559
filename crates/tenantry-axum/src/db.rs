use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use tenantry::TenantDb;

use crate::{lookup, rejection::TenantRejection};

/// Extracts the database of the tenant that the request is for.
///
/// It holds no connection; every statement takes one for as long as it runs. A stream of rows that goes to
/// the client as its response runs for as long as the client reads: collect small results, and read large
/// ones in pages.
///
/// `Option<Db>` is `None` where an [optional](crate::TenantLayer::optional) layer found no tenant.
/// Outside of any layer it is rejected, as `Db` is: a layer that was forgotten must not look like a
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
