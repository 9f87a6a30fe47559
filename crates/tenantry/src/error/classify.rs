//! Finds the class of an error, however deep the one that tells it is.

use std::{error::Error as StdError, io, sync::Arc};

use super::{Error, ErrorClass};

/// Classifies an error of sqlx.
pub(crate) fn class_of(error: &sqlx::Error) -> ErrorClass {
    match error {
        sqlx::Error::Database(error) => {
            error.code().map_or(ErrorClass::Other, |code| ErrorClass::of_sqlstate(&code))
        }
        sqlx::Error::Io(error) => ErrorClass::of_io(error.kind()),
        sqlx::Error::Tls(error) => {
            let cut = find(Some(&**error), |error| error.downcast_ref::<io::Error>());
            cut.map_or(ErrorClass::Tls, |error| ErrorClass::of_io(error.kind()))
        }
        // What came was no answer: sqlx says so where a handshake was cut before its first byte, too.
        sqlx::Error::Protocol(_) => ErrorClass::Connection,
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => ErrorClass::Pool,
        sqlx::Error::AnyDriverError(error) => {
            error.downcast_ref::<Error>().map_or(ErrorClass::Other, Error::class)
        }
        _ => ErrorClass::Other,
    }
}

/// Finds the first error of sqlx or of the operating system in a chain of sources.
pub(super) fn class_in(source: Option<&(dyn StdError + 'static)>) -> Option<ErrorClass> {
    find(source, |error| {
        let of_sqlx = error
            .downcast_ref::<sqlx::Error>()
            .or_else(|| error.downcast_ref::<Arc<sqlx::Error>>().map(|error| &**error));
        let of_io =
            || error.downcast_ref::<io::Error>().map(|error| ErrorClass::of_io(error.kind()));
        of_sqlx.map(class_of).or_else(of_io)
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
