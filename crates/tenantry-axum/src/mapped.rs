use axum_core::response::{IntoResponse, Response};
use tenantry::transparent_error;

use crate::error::DbError;

/// A [`DbError`] that is always [mapped](DbError::mapped): the error type of a handler that reports
/// missing rows and violated constraints to its clients.
///
/// # Examples
///
/// If the user does not exist, the response is a 404:
///
/// ```no_run
/// use axum::extract::Path;
/// use tenantry_axum::{Db, Mapped};
///
/// async fn email_of(Db(db): Db, Path(id): Path<i64>) -> Result<String, Mapped> {
///     let query = sqlx::query_scalar("select email from users where id = $1").bind(id);
///     Ok(query.fetch_one(&db).await?)
/// }
/// # let _: axum::Router = axum::Router::new().route("/{id}", axum::routing::get(email_of));
/// ```
pub struct Mapped(pub DbError);

impl<E: Into<DbError>> From<E> for Mapped {
    fn from(error: E) -> Self {
        Self(DbError::mapped(error))
    }
}

impl IntoResponse for Mapped {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

transparent_error!(Mapped);
