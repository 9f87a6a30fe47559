use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use tenantry::db_error_of_framework;

use crate::problem::Problem;

db_error_of_framework! {
    /// The error of a handler that uses the database.
    ///
    /// `?` converts every [`sqlx::Error`], [`tenantry::Error`], [`StatusCode`] and [`Problem`] into
    /// it. Its response is a problem document that never contains database error texts; the details
    /// go to the log.
    ///
    /// # What clients are told
    ///
    /// | [`ErrorKind`](tenantry::ErrorKind) | status | [mapped](Self::mapped) |
    /// |---|---|---|
    /// | `Timeout`, `Overloaded`, `Unavailable`, `StatementTimeout`, `Closed`, `StaleHandle`, `NameInUse`, `Busy`, `TransactionPooler`, a `Catalog` that is transient | 503 with `Retry-After` | |
    /// | `RateLimited` | 429 with `Retry-After` | |
    /// | `UnknownTenant` | 404 | |
    /// | `Suspended` | 403 | |
    /// | `InvalidTenantId` | 400 | |
    /// | `RowNotFound` | 500 | 404 |
    /// | `UniqueViolation`, `ExclusionViolation` | 500 | 409 |
    /// | `CheckViolation`, `ForeignKeyViolation`, `NotNullViolation`, `InvalidValue` | 500 | 422 |
    /// | `SerializationFailure`, `Deadlock`, `LockNotAvailable`, `ReadOnly` | 500 | 503 with `Retry-After` |
    /// | all others | 500 | |
    ///
    /// The third column is opt-in, because a violated constraint is often a bug. Opt in for one
    /// statement with `.map_err(DbError::mapped)?`, for a handler by returning
    /// [`Mapped`](crate::Mapped), or for an application in the `From` implementation of its own
    /// error. [`tenantry::admission::statement_problem`] implements the table.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::{HttpResponse, web::Path};
    /// use tenantry_actix::{Db, DbError};
    ///
    /// async fn invite(Db(db): Db, email: Path<String>) -> Result<HttpResponse, DbError> {
    ///     let insert = sqlx::query("insert into users (email) values ($1)").bind(email.into_inner());
    ///     match insert.execute(&db).await.map_err(DbError::from) {
    ///         Ok(_) => Ok(HttpResponse::Created().finish()),
    ///         // Invited already.
    ///         Err(error) if error.is_unique_violation_of("users_email_key") => {
    ///             Ok(HttpResponse::Ok().finish())
    ///         }
    ///         Err(error) => Err(error),
    ///     }
    /// }
    /// # let _ = actix_web::App::new().route("/{email}", actix_web::web::post().to(invite));
    /// ```
    ///
    /// An application's own error, with its own responses:
    ///
    /// ```
    /// use actix_web::{HttpResponse, ResponseError, http::StatusCode};
    /// use tenantry_actix::{DbError, Problem};
    ///
    /// #[derive(Debug)]
    /// enum AppError {
    ///     NoSuchUser,
    ///     Db(DbError),
    /// }
    ///
    /// impl<E: Into<DbError>> From<E> for AppError {
    ///     fn from(error: E) -> Self {
    ///         Self::Db(error.into())
    ///     }
    /// }
    ///
    /// impl std::fmt::Display for AppError {
    ///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    ///         match self {
    ///             Self::NoSuchUser => f.write_str("there is no such user"),
    ///             Self::Db(error) => error.fmt(f),
    ///         }
    ///     }
    /// }
    ///
    /// impl ResponseError for AppError {
    ///     fn status_code(&self) -> StatusCode {
    ///         match self {
    ///             Self::NoSuchUser => StatusCode::NOT_FOUND,
    ///             Self::Db(error) => error.status_code(),
    ///         }
    ///     }
    ///
    ///     // actix's own sends what `Display` says: do not leave it out.
    ///     fn error_response(&self) -> HttpResponse {
    ///         match self {
    ///             Self::NoSuchUser => Problem::new(self.status_code()).to_response(),
    ///             Self::Db(error) => error.error_response(),
    ///         }
    ///     }
    /// }
    /// ```
    pub struct DbError(StatusCode, Problem);
}

impl DbError {
    /// Creates the response.
    pub(crate) fn response(&self) -> HttpResponse {
        self.as_problem().to_response()
    }
}

impl ResponseError for DbError {
    fn status_code(&self) -> StatusCode {
        self.as_problem().status()
    }

    fn error_response(&self) -> HttpResponse {
        self.log();
        self.response()
    }
}
