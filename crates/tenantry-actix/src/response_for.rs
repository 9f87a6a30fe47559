use std::error::Error as StdError;

use actix_web::HttpResponse;
use tenantry::admission::Failure;

use crate::{error::DbError, mapped::Mapped, problem::Problem};

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
/// use actix_web::{HttpResponse, ResponseError, http::StatusCode};
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("showing the dashboard")]
/// struct DashboardError(#[from] sqlx::Error);
///
/// impl ResponseError for DashboardError {
///     fn status_code(&self) -> StatusCode {
///         self.error_response().status()
///     }
///
///     fn error_response(&self) -> HttpResponse {
///         tenantry_actix::response_for(self)
///             .unwrap_or_else(|| HttpResponse::InternalServerError().finish())
///     }
/// }
///
/// let response = DashboardError::from(sqlx::Error::PoolTimedOut).error_response();
/// assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
/// assert_eq!(response.headers().get("retry-after").unwrap(), "1");
/// ```
#[must_use]
pub fn response_for(error: &(dyn StdError + 'static)) -> Option<HttpResponse> {
    respond(error, false)
}

/// As [`response_for`], with a status of its own for a statement that the database refused: see
/// [`DbError::mapped`].
#[must_use]
pub fn mapped_response_for(error: &(dyn StdError + 'static)) -> Option<HttpResponse> {
    respond(error, true)
}

fn respond(error: &(dyn StdError + 'static), is_mapped: bool) -> Option<HttpResponse> {
    let problem = Failure::respond(error, is_mapped, |error| {
        let of_mapped = || error.downcast_ref::<Mapped>().map(|error| &error.0);
        error.downcast_ref::<DbError>().or_else(of_mapped).map(|error| &**error)
    });
    problem.map(|problem| Problem::from(problem).to_response())
}
