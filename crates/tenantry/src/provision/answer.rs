//! Finds the server's response inside a wrapped error.

use std::error::Error as StdError;

use crate::{error::Error, migrate::Failure, pool::leaves_session_usable};

/// Returns the server's refusal of a statement that caused an error, if that is the cause. A lost connection is not a
/// refusal.
pub(super) fn refusal(error: &Error) -> Option<&sqlx::Error> {
    let mut next = Some(error as &(dyn StdError + 'static));
    while let Some(error) = next {
        if let Some(answer) = error.downcast_ref::<sqlx::Error>() {
            let refused = answer.as_database_error().is_some() && leaves_session_usable(answer);
            return refused.then_some(answer);
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
