//! The response to a failed call: the same as over HTTP, as a gRPC status.

use axum::{body::Body, response::Response};
use tenantry::admission::{Failure, Problem};
use tenantry_axum::Rejection;
use tonic::{Code, Status};

/// Responds to a request that the layer rejects.
pub(crate) fn refuse(rejection: &Rejection) -> Response<Body> {
    status(&rejection.problem().into_core()).into_http()
}

/// Responds to a call that the database refused. Only the log contains the database's message.
pub(crate) fn failed(error: sqlx::Error) -> Status {
    let failure = Failure::from(tenantry::Error::from(error)).mapped();
    failure.log();
    status(&failure.problem())
}

fn status(problem: &Problem) -> Status {
    let code = match problem.status_code() {
        400 | 422 => Code::InvalidArgument,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::AlreadyExists,
        503 => Code::Unavailable,
        _ => Code::Internal,
    };
    Status::new(code, problem.text())
}
