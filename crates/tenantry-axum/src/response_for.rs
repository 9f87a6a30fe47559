use std::error::Error as StdError;

use axum_core::response::Response;
use tenantry::admission::Failure;
use tenantry_tower::Problem;

use crate::{error::DbError, mapped::Mapped};

/// Makes the response for an error of an application, if there is a [`DbError`], a [`tenantry::Error`] or
/// a [`sqlx::Error`] among it and its [sources](StdError::source); the whole chain goes to the log.
///
/// With it a 503 stays a 503 under `anyhow` and under an application's own types: clients and load
/// balancers are told when to come back. The first such error decides as [`DbError`] does.
///
/// A variant of `thiserror` that is `#[error(transparent)]` leaves its error out of the chain: match on
/// the variant, and pass what it holds.
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

/// As [`response_for`], with a status of its own for a statement that the database refused: see
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
