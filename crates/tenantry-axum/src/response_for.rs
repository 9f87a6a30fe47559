use std::error::Error as StdError;

use axum_core::response::Response;
use tenantry::admission::Failure;
use tenantry_tower::Problem;

use crate::{error::DbError, mapped::Mapped};

/// Creates the response for an application's error if it, or one of its
/// [sources](StdError::source), is a [`DbError`], a [`tenantry::Error`] or a [`sqlx::Error`]. The
/// whole chain goes to the log.
///
/// This keeps a 503 a 503 inside `anyhow` and an application's own error types, so that clients and
/// load balancers know when to retry. The first such error in the chain decides, as [`DbError`]
/// does.
///
/// A `thiserror` variant with `#[error(transparent)]` is not part of the chain: match on the
/// variant, and pass its contents.
///
/// # Examples
///
/// ```
/// use axum::{http::StatusCode, response::{IntoResponse, Response}};
///
/// /// What handlers fail with: anything.
/// struct AppError(Box<dyn std::error::Error + Send + Sync>);
///
/// impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for AppError {
///     fn from(error: E) -> Self {
///         Self(error.into())
///     }
/// }
///
/// impl IntoResponse for AppError {
///     fn into_response(self) -> Response {
///         // The same with `&*error` of an `anyhow::Error`.
///         tenantry_axum::response_for(&*self.0)
///             .unwrap_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())
///     }
/// }
///
/// let response = AppError::from(sqlx::Error::PoolTimedOut).into_response();
/// assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
/// assert_eq!(response.headers()["retry-after"], "1");
/// ```
#[must_use]
pub fn response_for(error: &(dyn StdError + 'static)) -> Option<Response> {
    respond(error, false)
}

/// Like [`response_for`], but maps a statement that the database refused to its own status; see
/// [`DbError::mapped`].
#[must_use]
pub fn mapped_response_for(error: &(dyn StdError + 'static)) -> Option<Response> {
    respond(error, true)
}

fn respond(error: &(dyn StdError + 'static), is_mapped: bool) -> Option<Response> {
    let problem = Failure::respond(error, is_mapped, |error| {
        let of_mapped = || error.downcast_ref::<Mapped>().map(|error| &error.0);
        error.downcast_ref::<DbError>().or_else(of_mapped).map(|error| &**error)
    });
    problem.map(|problem| Problem::from(problem).to_response())
}
