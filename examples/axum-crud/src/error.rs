//! What clients are told when something goes wrong.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tenantry_axum::{DbError, Problem};

pub(crate) enum AppError {
    NoSuchUser,
    EmailTaken,
    InvalidValue,
    Db(DbError),
}

impl From<sqlx::Error> for AppError {
    fn from(error: sqlx::Error) -> Self {
        let Some(answer) = error.as_database_error() else {
            return Self::Db(error.into());
        };
        // Class 22 are data exceptions: a text that is too long, or holds a zero byte.
        let is_data_exception = answer.code().is_some_and(|code| code.starts_with("22"));
        match (answer.is_unique_violation(), is_data_exception) {
            (true, _) => Self::EmailTaken,
            (_, true) => Self::InvalidValue,
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
            Self::EmailTaken => (StatusCode::CONFLICT, "there is a user with this email already"),
            Self::InvalidValue => (StatusCode::BAD_REQUEST, "a value is too long or malformed"),
            Self::Db(error) => return error.into_response(),
        };
        Problem::new(status).detail(detail).to_response()
    }
}
