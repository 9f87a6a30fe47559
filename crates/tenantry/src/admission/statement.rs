use super::{Problem, RejectionKind};
use crate::error::{ErrorKind, RETRY_AFTER};

/// Returns the client's response for a statement that the database refused, for applications that
/// have opted in; `None` for kinds that stay a 500.
///
/// | [`ErrorKind`] | status | type of the problem |
/// |---|---|---|
/// | `RowNotFound` | 404 | `urn:problem-type:tenantry:row-not-found` |
/// | `UniqueViolation`, `ExclusionViolation` | 409 | `urn:problem-type:tenantry:conflict` |
/// | `CheckViolation`, `ForeignKeyViolation`, `NotNullViolation`, `InvalidValue` | 422 | `urn:problem-type:tenantry:invalid-data` |
/// | `SerializationFailure`, `Deadlock`, `LockNotAvailable`, `ReadOnly` | 503 with `Retry-After` | `urn:problem-type:tenantry:unavailable` |
///
/// No response repeats text from the database: no value, and no name of a table or constraint.
///
/// # Examples
///
/// ```
/// use tenantry::{ErrorKind, admission::statement_problem};
///
/// let problem = statement_problem(ErrorKind::UniqueViolation).unwrap();
/// assert_eq!(problem.status_code(), 409);
/// assert_eq!(statement_problem(ErrorKind::Database), None);
/// ```
#[must_use]
pub fn statement_problem(kind: ErrorKind) -> Option<Problem> {
    let problem = match kind {
        ErrorKind::RowNotFound => Problem::new(404, "Not Found")
            .kind("urn:problem-type:tenantry:row-not-found", "Not found")
            .detail("the requested data does not exist"),
        ErrorKind::UniqueViolation | ErrorKind::ExclusionViolation => Problem::new(409, "Conflict")
            .kind("urn:problem-type:tenantry:conflict", "Conflict")
            .detail("the request conflicts with stored data"),
        ErrorKind::CheckViolation
        | ErrorKind::ForeignKeyViolation
        | ErrorKind::InvalidValue
        | ErrorKind::NotNullViolation => Problem::new(422, "Unprocessable Content")
            .kind("urn:problem-type:tenantry:invalid-data", "Invalid data")
            .detail("the request violates a constraint of the stored data"),
        ErrorKind::SerializationFailure
        | ErrorKind::Deadlock
        | ErrorKind::LockNotAvailable
        | ErrorKind::ReadOnly => RejectionKind::Unavailable
            .problem()
            .detail("the request was not executed: send it again")
            .retry_after(RETRY_AFTER),
        _ => return None,
    };
    Some(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_status() {
        for (kind, status) in [
            (ErrorKind::RowNotFound, 404),
            (ErrorKind::UniqueViolation, 409),
            (ErrorKind::ExclusionViolation, 409),
            (ErrorKind::CheckViolation, 422),
            (ErrorKind::ForeignKeyViolation, 422),
            (ErrorKind::NotNullViolation, 422),
            (ErrorKind::InvalidValue, 422),
            (ErrorKind::SerializationFailure, 503),
            (ErrorKind::Deadlock, 503),
            (ErrorKind::LockNotAvailable, 503),
            (ErrorKind::ReadOnly, 503),
        ] {
            let problem = statement_problem(kind).unwrap();
            assert_eq!(problem.status_code(), status, "{kind:?}");
            assert_eq!(problem.retry_after_seconds(), (status == 503).then_some(1), "{kind:?}");
        }
        // An invalid statement is a mistake in the program, and a valid one that is refused is a
        // mistake in its setup.
        for kind in [ErrorKind::Database, ErrorKind::PermissionDenied, ErrorKind::Timeout] {
            assert_eq!(statement_problem(kind), None, "{kind:?}");
        }
    }
}
