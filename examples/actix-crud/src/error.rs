//! The responses to failed requests.

use actix_web::{HttpRequest, HttpResponse, ResponseError, http::StatusCode};
use example_support::crud::{Refusal, refusal};
use tenantry_actix::{DbError, Problem};

#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    #[error("there is no such user")]
    NoSuchUser,
    #[error("a user with this email already exists")]
    EmailTaken,
    #[error("a value is too long or malformed")]
    InvalidValue,
    #[error(transparent)]
    Db(DbError),
}

impl From<sqlx::Error> for AppError {
    fn from(error: sqlx::Error) -> Self {
        match refusal(&error) {
            Some(Refusal::Duplicate) => Self::EmailTaken,
            Some(Refusal::InvalidValue) => Self::InvalidValue,
            _ => Self::Db(error.into()),
        }
    }
}

impl From<tenantry::Error> for AppError {
    fn from(error: tenantry::Error) -> Self {
        Self::Db(error.into())
    }
}

impl ResponseError for AppError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NoSuchUser => StatusCode::NOT_FOUND,
            Self::EmailTaken => StatusCode::CONFLICT,
            Self::InvalidValue => StatusCode::BAD_REQUEST,
            Self::Db(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            // Its own response also logs the details that the client does not get.
            Self::Db(error) => error.error_response(),
            _ => Problem::new(self.status_code()).detail(self.to_string()).to_response(),
        }
    }
}

/// Turns actix's error for an unreadable path or body into a problem. For a path, actix would
/// respond with 404.
pub(crate) fn unreadable<E>(_: E, _: &HttpRequest) -> actix_web::Error {
    AppError::InvalidValue.into()
}
