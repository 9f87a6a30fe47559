//! Finds the class of an error anywhere in its source chain.

use std::{error::Error as StdError, io, sync::Arc};

use sqlx::{error::DatabaseError, postgres::PgDatabaseError};

use super::{
    Error, ErrorClass,
    of_worker::{is_broken_off, tells_of_worker},
    own,
};

/// Classifies an sqlx error.
pub(crate) fn class_of(error: &sqlx::Error) -> ErrorClass {
    match error {
        sqlx::Error::Database(error) => of_answer(&**error),
        sqlx::Error::Io(inner) => {
            own(error).map_or_else(|| ErrorClass::of_io(inner.kind()), Error::class)
        }
        sqlx::Error::Tls(error) => {
            let cut = find(Some(&**error), |error| error.downcast_ref::<io::Error>());
            cut.map_or(ErrorClass::Tls, |error| ErrorClass::of_io(error.kind()))
        }
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => ErrorClass::Pool,
        // Includes `Protocol`: sqlx returns it for a statement that it does not send, or for a
        // response that it does not understand. Both would happen again.
        _ => ErrorClass::Other,
    }
}

/// Classifies a response of the server, or of a pooler in front of it.
///
/// A server that raises an error of class 08 does so over a working connection: it does not
/// understand the statement's message, or a foreign server is down. Its errors name a routine.
/// Those of poolers, which use class 08 to report that their server is down, do not. Those that a coordinator of Citus
/// passes on are about a worker.
fn of_answer(error: &dyn DatabaseError) -> ErrorClass {
    let class = error.code().map_or(ErrorClass::Other, |code| ErrorClass::of_sqlstate(&code));
    let is_away = matches!(
        class,
        ErrorClass::Connection | ErrorClass::TooManyConnections | ErrorClass::Shutdown
    );
    if is_away && tells_of_worker(error) || is_broken_off(error) {
        return ErrorClass::ClusterNode;
    }
    let raised = error.try_downcast_ref::<PgDatabaseError>().is_some_and(|e| e.routine().is_some());
    if class == ErrorClass::Connection && raised { ErrorClass::Other } else { class }
}

/// Returns the class of the first sqlx or operating system error in a chain of sources.
pub(super) fn class_in(source: Option<&(dyn StdError + 'static)>) -> Option<ErrorClass> {
    find(source, |error| {
        let of_sqlx = error
            .downcast_ref::<sqlx::Error>()
            .or_else(|| error.downcast_ref::<Arc<sqlx::Error>>().map(|error| &**error));
        let of_io =
            || error.downcast_ref::<io::Error>().map(|error| ErrorClass::of_io(error.kind()));
        let noted = || error.downcast_ref::<Error>().and_then(|error| error.0.class);
        of_sqlx.map(class_of).or_else(of_io).or_else(noted)
    })
}

fn find<'a, T>(
    mut next: Option<&'a (dyn StdError + 'static)>,
    test: impl Fn(&'a (dyn StdError + 'static)) -> Option<T>,
) -> Option<T> {
    while let Some(error) = next {
        if let Some(found) = test(error) {
            return Some(found);
        }
        next = error.source();
    }
    None
}
