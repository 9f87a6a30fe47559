//! Describes the part of a copy that failed.

use sqlx::postgres::PgDatabaseError;

use crate::error::{Error, ErrorKind};

/// Wraps an error with what was attempted.
pub(crate) fn failed(attempted: String, error: sqlx::Error) -> Error {
    let error = Error::from(error);
    Error::new(error.kind(), attempted).with_source(error)
}

const DISK_FULL: &str = "53100";

/// Wraps an error without the server's message, which may quote values of the source: SQLSTATE and names remain.
pub(crate) fn failed_in_secret(attempted: String, error: sqlx::Error) -> Error {
    let mut attempted = attempted;
    let answer = error.as_database_error().and_then(|e| e.try_downcast_ref::<PgDatabaseError>());
    if let Some(answer) = answer {
        attempted.push_str(&format!(": SQLSTATE {}", answer.code()));
        if answer.code() == DISK_FULL {
            attempted.push_str(", the server's disk is full");
        }
        let names = [
            ("constraint", answer.constraint()),
            ("column", answer.column()),
            ("type", answer.data_type()),
        ];
        for (what, name) in names {
            if let Some(name) = name {
                attempted.push_str(&format!(", {what} {name}"));
            }
        }
    }
    let kind = Error::from(error).kind();
    Error::new(kind, attempted)
}

/// Refuses a copy that is not as expected.
pub(super) fn refused(attempted: impl Into<String>) -> Error {
    Error::new(ErrorKind::Clone, attempted.into())
}
