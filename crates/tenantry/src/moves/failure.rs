//! Why a step of a move was not done.

use std::error::Error as _;

use crate::error::Error;

/// Why a step was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another process has taken the move over.
    Lost,
    /// Others hold locks that the step needs.
    Blocked(Error),
    Failed(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Failure {
    /// Returns the failure of waiting for a lock for too long, or of a deadlock.
    pub(super) fn of_locks(error: sqlx::Error, attempted: &'static str) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        let is_blocked = matches!(code.as_deref(), Some("55P03" | "57014" | "40P01"));
        let error = Error::from(error);
        let error = Error::new(error.kind(), attempted).with_source(error);
        match is_blocked {
            true => Self::Blocked(error),
            false => Self::Failed(error),
        }
    }
}

/// Returns an error with its causes, on one line, of a length that fits a report.
pub(super) fn told(error: &Error) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !told.contains(&text) {
            told.push_str(&format!(": {text}"));
        }
        next = cause.source();
    }
    told.chars().filter(|character| !character.is_control()).take(1_000).collect()
}
