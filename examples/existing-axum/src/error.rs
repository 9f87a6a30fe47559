//! The responses to failed requests.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tenantry_axum::DbError;

pub(crate) enum AppError {
    NotFound,
    Sqlx(sqlx::Error),
}

impl From<sqlx::Error> for AppError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sqlx(error)
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
            Self::Sqlx(error) => DbError::mapped(error).into_response(),
        }
    }
}
