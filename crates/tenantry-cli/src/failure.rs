use std::{error::Error as StdError, fmt};

use tenantry::ErrorKind;

/// Why a command could not run, in one sentence, with what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    /// Whether the database could not be reached.
    is_unreachable: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, is_unreachable: false }
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds which database it is, if it could not be reached.
    pub(crate) fn of_database(self, database: impl FnOnce() -> Option<String>) -> Self {
        match self.is_unreachable && self.hint.is_none() {
            true => database().into_iter().fold(self, Self::hint),
            false => self,
        }
    }

    /// Says what was attempted when this error came.
    pub(crate) fn while_doing(what: impl fmt::Display, error: &(dyn StdError + 'static)) -> Self {
        Self::new(format!("{what}: {}", chain(error)))
    }
}

/// An error with its causes on one line. A cause that its error has told already is left out.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let told = cause.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        next = cause.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  help: {hint}"))
    }
}

impl<E: StdError + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let any: &(dyn StdError + 'static) = &error;
        let is_unreachable = any
            .downcast_ref::<tenantry::Error>()
            .is_some_and(|error| error.kind() == ErrorKind::Unavailable);
        Self { is_unreachable, ..Self::new(chain(&error)) }
    }
}
