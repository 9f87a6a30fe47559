//! What an error means for the session that it comes from.

use std::io;

use sqlx::{
    Error as E,
    postgres::{PgDatabaseError, PgSeverity},
};

use crate::error::{ErrorKind, own};

/// Returns `true` if the connection can be used after this error.
pub(crate) fn leaves_session_usable(error: &sqlx::Error) -> bool {
    match error {
        E::Database(error) => error.try_downcast_ref::<PgDatabaseError>().is_some_and(|error| {
            !matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)
        }),
        // The library's own refusal: the session is unbound and can be reused.
        E::Io(_) => own(error).is_some_and(|error| {
            matches!(
                error.kind(),
                ErrorKind::StaleHandle | ErrorKind::Placement | ErrorKind::Config
            )
        }),
        E::RowNotFound
        | E::TypeNotFound { .. }
        | E::ColumnIndexOutOfBounds { .. }
        | E::ColumnNotFound(_)
        | E::ColumnDecode { .. }
        | E::Encode(_)
        | E::Decode(_)
        | E::InvalidArgument(_)
        | E::InvalidSavePointStatement
        | E::BeginFailed => true,
        _ => false,
    }
}

/// Returns the error of a connection that is unusable because the expected response is missing.
pub(super) fn lost(what: &'static str) -> sqlx::Error {
    E::Io(io::Error::new(io::ErrorKind::UnexpectedEof, what))
}

/// Returns the error of an operation on a connection that has timed out.
pub(super) fn timed_out() -> sqlx::Error {
    E::Io(io::ErrorKind::TimedOut.into())
}
