//! How an attack ends.

use crate::error::{Error, ErrorClass, class_of, own};

pub(super) type Attacked = Result<Finding, Stop>;

/// The result of a completed attack.
#[derive(Debug)]
pub(super) struct Finding {
    /// The observation if nothing has leaked to another tenant.
    pub(super) seen: String,
    pub(super) rounds: u64,
}

/// Why an attack could not be completed.
#[derive(Debug)]
pub(super) struct Stop(pub(super) String);

impl Stop {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

/// Returns the code of an error that concerns the session, or stops if it is a connection error, which does not.
pub(super) fn code_of(error: sqlx::Error) -> Result<String, Stop> {
    use ErrorClass as C;
    if let Some(own) = own(&error).filter(|own| !own.is_transient()) {
        return Ok(format!("refused as {:?}", own.kind()));
    }
    match class_of(&error) {
        C::Connection | C::TooManyConnections | C::Shutdown | C::Pool | C::Resources => {
            Err(error.into())
        }
        _ => {
            let code = error.as_database_error().and_then(|error| error.code());
            Ok(code.map_or_else(|| error.to_string(), |code| format!("error {code}: {error}")))
        }
    }
}
