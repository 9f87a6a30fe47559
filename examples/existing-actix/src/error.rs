//! The responses to failed requests.

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use tenantry_actix::mapped_response_for;

#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    #[error("there is no such subscription")]
    NotFound,
    #[error("a statement failed")]
    Sqlx(#[from] sqlx::Error),
}

impl ResponseError for AppError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Sqlx(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        mapped_response_for(self).unwrap_or_else(|| HttpResponse::new(self.status_code()))
    }
}
