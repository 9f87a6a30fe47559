//! Describes the part of a copy that failed.

use sqlx::postgres::PgDatabaseError;

use crate::error::{Error, ErrorKind, is_refused_by_policies};

/// What to do about a table whose policies apply to the role that reads it.
const WITH_POLICIES: &str = " (the table's policies apply to the role of maintenance, so it would not see every row: \
                             grant it bypassrls, or give the manager upkeep_credentials of a role that has it)";

/// Wraps an error with what was attempted.
pub(crate) fn failed(mut attempted: String, error: sqlx::Error) -> Error {
    advise(&mut attempted, &error);
    let error = Error::from(error);
    Error::new(error.kind(), attempted).with_source(error)
}

fn advise(attempted: &mut String, error: &sqlx::Error) {
    if is_refused_by_policies(error) {
        attempted.push_str(WITH_POLICIES);
    }
}

const DISK_FULL: &str = "53100";

/// Wraps an error without the server's message, which may quote values of the source: SQLSTATE and names remain.
pub(crate) fn failed_in_secret(mut attempted: String, error: sqlx::Error) -> Error {
    advise(&mut attempted, &error);
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
