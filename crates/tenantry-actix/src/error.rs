use std::{error::Error as StdError, fmt};

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use tenantry::{ErrorKind, admission};

use crate::problem::{Problem, status_of};

/// The error of a handler that talks to the database.
///
/// `?` makes it of every [`sqlx::Error`] and [`tenantry::Error`]. As a response it is a problem
/// document that says nothing about the database; the log gets everything.
///
/// | [`ErrorKind`] | status |
/// |---|---|
/// | `Timeout`, `Overloaded`, `Unavailable`, `Catalog`, `Closed`, `StaleHandle`, `NameInUse`, `TransactionPooler` | 503 with `Retry-After` |
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
#[derive(Debug)]
pub struct DbError(admission::Rejection);

impl DbError {
    /// Returns what kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.error().kind()
    }

    /// Returns what the database has answered, if it was the database that failed.
    ///
    /// It is there to be branched on, such as by
    /// [`is_unique_violation`](sqlx::error::DatabaseError::is_unique_violation), not to be sent.
    #[must_use]
    pub fn as_database_error(&self) -> Option<&dyn sqlx::error::DatabaseError> {
        let source = self.source()?.downcast_ref::<sqlx::Error>()?;
        source.as_database_error()
    }

    /// Writes to the log what the response does not say.
    pub(crate) fn log(&self) {
        self.0.log("request failed");
    }

    /// Makes the response.
    pub(crate) fn response(&self) -> HttpResponse {
        Problem::from(self.0.problem()).to_response()
    }

    fn error(&self) -> &tenantry::Error {
        self.0.error().expect("it was made of one")
    }
}

impl From<tenantry::Error> for DbError {
    fn from(error: tenantry::Error) -> Self {
        Self(error.into())
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        Self::from(tenantry::Error::from(error))
    }
}

impl ResponseError for DbError {
    fn status_code(&self) -> StatusCode {
        status_of(self.0.kind().status_code())
    }

    fn error_response(&self) -> HttpResponse {
        self.log();
        self.response()
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl StdError for DbError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error().source()
    }
}
