//! Reads the server's response to a statement: inside a wrapped error, and as an error of the library.

use std::error::Error as StdError;

use crate::{
    error::{Error, ErrorKind},
    migrate::Failure,
    pool::leaves_session_usable,
};

/// Returns the server's refusal of a statement that caused an error, if that is the cause. A lost connection is not a
/// refusal.
pub(super) fn refusal(error: &Error) -> Option<&sqlx::Error> {
    answer(error)
        .filter(|answer| answer.as_database_error().is_some() && leaves_session_usable(answer))
}

/// Returns `true` if an error can be due to the removal of the database: the session was ended, or none could be opened.
pub(super) fn lost_database(error: &Error) -> bool {
    let is_lost = answer(error).is_some_and(|answer| !leaves_session_usable(answer));
    is_lost || error.kind() == ErrorKind::Unavailable || has_code(error, "3D000")
}

/// Returns the error of sqlx that caused an error.
fn answer(error: &Error) -> Option<&sqlx::Error> {
    let mut next = Some(error as &(dyn StdError + 'static));
    while let Some(error) = next {
        if let Some(answer) = error.downcast_ref::<sqlx::Error>() {
            return Some(answer);
        }
        // A failure's message contains its cause, which is then not one of its sources.
        let failure = error.downcast_ref::<Failure>();
        next = failure.map_or_else(|| error.source(), Failure::cause);
    }
    None
}

/// Returns `true` if the server refused a statement with this code.
pub(super) fn has_code(error: &Error, code: &str) -> bool {
    let answer = refusal(error).and_then(sqlx::Error::as_database_error);
    answer.and_then(|answer| answer.code()).as_deref() == Some(code)
}

/// Returns `true` if a lock could not be acquired in time.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("55P03")
}

/// Converts the error of a statement that creates or renames a schema.
pub(super) fn taken(error: sqlx::Error) -> Error {
    Error::schema_taken(error).unwrap_or_else(Error::from)
}

/// Returns the error of an operation that finds the lock of a schema taken, with the session that has it in words.
pub(super) fn busy(who: &str) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!("another session is migrating, renaming or dropping it{who}"),
    )
}
