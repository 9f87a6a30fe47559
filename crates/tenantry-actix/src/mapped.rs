use actix_web::{HttpResponse, ResponseError, http::StatusCode};
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
/// use actix_web::web::{self, Path};
/// use tenantry_actix::{Db, Mapped};
///
/// async fn email_of(Db(db): Db, id: Path<i64>) -> Result<String, Mapped> {
///     let query = sqlx::query_scalar("select email from users where id = $1").bind(*id);
///     Ok(query.fetch_one(&db).await?)
/// }
/// # let _ = actix_web::App::new().route("/{id}", web::get().to(email_of));
/// ```
pub struct Mapped(pub DbError);

impl<E: Into<DbError>> From<E> for Mapped {
    fn from(error: E) -> Self {
        Self(DbError::mapped(error))
    }
}

impl ResponseError for Mapped {
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        self.0.error_response()
    }
}

transparent_error!(Mapped);
