use std::{error::Error as StdError, fmt};

use crate::error::Error;

/// The reason why a caller is not admitted.
#[non_exhaustive]
pub enum AuthorizeError {
    /// The caller may not use the tenant: 403.
    Denied,
    /// The check failed: 503 if it may succeed later, otherwise 500.
    ///
    /// For a failure outside tenantry, use [`Error::catalog`](crate::Error::catalog), a 503.
    Failed(Error),
}

crate::error_report::readable_debug!(AuthorizeError);

impl From<Error> for AuthorizeError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for AuthorizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "the caller may not use the tenant",
            Self::Failed(_) => "could not determine whether the caller may use the tenant",
        })
    }
}

impl StdError for AuthorizeError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Denied => None,
            Self::Failed(error) => Some(error),
        }
    }
}
