//! Adds to a failure where the missing object can be found.

use super::Failure;
use crate::{db::is_of_names, error::Error, fleet::Fleet, tenant::Ident};

/// Adds a hint, if there is one, to a failure about a name that was not found along the search path.
pub(crate) async fn explained(fleet: &Fleet, path: &[Ident], failure: Failure) -> Failure {
    let sqlstate = failure.sqlstate.as_deref().filter(|code| is_of_names(code));
    let (Some(sqlstate), None) = (sqlstate, failure.hint()) else { return failure };
    if fleet.home().database().is_some() {
        // The library's own statements run in the database of the server's URL.
        return failure;
    }
    let shared = fleet.shared_site().schema;
    let found =
        fleet.system_here().elsewhere(sqlstate, &failure.message, path, Some(&shared)).await;
    // An error of the lookup is ignored in favor of the failure itself.
    failure.with_hint(found.ok().flatten())
}

/// Does the same for an error caused by a [`Failure`].
pub(crate) async fn explained_error(fleet: &Fleet, path: &[Ident], error: Error) -> Error {
    let source = std::error::Error::source(&error);
    let Some(failure) = source.and_then(|source| source.downcast_ref::<Failure>()) else {
        return error;
    };
    let failure = explained(fleet, path, failure.clone()).await;
    error.because_of(failure)
}
