use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use tenantry::db_error_of_framework;
use tenantry_tower::Problem;

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
    /// use axum::{extract::Path, http::StatusCode};
    /// use tenantry_axum::{Db, DbError};
    ///
    /// async fn invite(Db(db): Db, Path(email): Path<String>) -> Result<StatusCode, DbError> {
    ///     let insert = sqlx::query("insert into users (email) values ($1)").bind(email);
    ///     match insert.execute(&db).await.map_err(DbError::from) {
    ///         Ok(_) => Ok(StatusCode::CREATED),
    ///         // Invited already.
    ///         Err(error) if error.is_unique_violation_of("users_email_key") => Ok(StatusCode::OK),
    ///         Err(error) => Err(error),
    ///     }
    /// }
    /// # let _: axum::Router = axum::Router::new().route("/{email}", axum::routing::post(invite));
    /// ```
    ///
    /// An application's own error, with its own responses:
    ///
    /// ```
    /// use axum::{http::StatusCode, response::{IntoResponse, Response}};
    /// use tenantry_axum::{DbError, Problem};
    ///
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
    /// impl IntoResponse for AppError {
    ///     fn into_response(self) -> Response {
    ///         match self {
    ///             Self::NoSuchUser => Problem::new(StatusCode::NOT_FOUND).to_response(),
    ///             Self::Db(error) => error.into_response(),
    ///         }
    ///     }
    /// }
    /// ```
    pub struct DbError(StatusCode, Problem);
}

impl DbError {
    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.as_problem().status()
    }
}

impl IntoResponse for DbError {
    fn into_response(self) -> Response {
        self.log();
        self.as_problem().to_response()
    }
}
