use std::error::Error as StdError;

use actix_web::HttpResponse;
use tenantry::admission::Failure;

use crate::{error::DbError, mapped::Mapped, problem::Problem};

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

/// Like [`response_for`], but maps a statement that the database refused to its own status; see
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
