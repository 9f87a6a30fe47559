use std::{error::Error as StdError, fmt};

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use tenantry::{ErrorKind, admission};
use tenantry_tower::{Problem, RejectionKind};

/// The error of a handler that talks to the database.
///
/// `?` makes it of every [`sqlx::Error`] and [`tenantry::Error`]. As a response it is a problem
/// document that says nothing about the database; the log gets everything.
///
/// | [`ErrorKind`] | status |
/// |---|---|
/// | `Timeout`, `Overloaded`, `Unavailable`, `StatementTimeout`, `Closed`, `StaleHandle`, `NameInUse`, `TransactionPooler`, a `Catalog` that is transient | 503 with `Retry-After` |
/// | `UnknownTenant` | 404 |
/// | `Suspended` | 403 |
/// | `InvalidTenantId` | 400 |
/// | all others | 500 |
///
/// # Examples
///
/// An application's own error, for what its clients should be told:
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
#[derive(Debug)]
pub struct DbError(tenantry::Error);

impl DbError {
    /// Returns what kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind()
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        RejectionKind::from(&self.0).status()
    }

    /// Returns what the database has answered, if it was the database that failed.
    ///
    /// It is there to be branched on, such as by
    /// [`is_unique_violation`](sqlx::error::DatabaseError::is_unique_violation), not to be sent.
    #[must_use]
    pub fn as_database_error(&self) -> Option<&dyn sqlx::error::DatabaseError> {
        let source = self.0.source()?.downcast_ref::<sqlx::Error>()?;
        source.as_database_error()
    }
}

impl From<tenantry::Error> for DbError {
    fn from(error: tenantry::Error) -> Self {
        Self(error)
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for DbError {
    fn into_response(self) -> Response {
        let rejection = admission::Rejection::from(self.0);
        rejection.log("request failed");
        Problem::from(rejection.problem()).to_response()
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for DbError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
