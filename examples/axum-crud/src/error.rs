//! The responses to failed requests.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use example_support::crud::{Refusal, refusal};
use tenantry_axum::{DbError, Problem};

pub(crate) enum AppError {
    NoSuchUser,
    EmailTaken,
    InvalidValue,
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

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Self::NoSuchUser => (StatusCode::NOT_FOUND, "there is no such user"),
            Self::EmailTaken => (StatusCode::CONFLICT, "a user with this email already exists"),
            Self::InvalidValue => (StatusCode::BAD_REQUEST, "a value is too long or malformed"),
            Self::Db(error) => return error.into_response(),
        };
        Problem::new(status).detail(detail).to_response()
    }
}
