//! What a client is told when something goes wrong: the same as over HTTP, as a gRPC status.

use axum::{body::Body, response::Response};
use tenantry::admission::{Failure, Problem};
use tenantry_axum::Rejection;
use tonic::{Code, Status};

/// Answers a request that the layer does not let in.
pub(crate) fn refuse(rejection: &Rejection) -> Response<Body> {
    status(&rejection.problem().into_core()).into_http()
}

/// Answers a call that the database has refused. The log has its words, the client has not.
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
