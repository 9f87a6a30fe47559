use std::{io, sync::Arc, time::Duration};

use crate::error::{self, Error, ErrorClass};

/// An error that can tell whether a retry may help.
///
/// Implement it for an application's own error, or pass a closure to
/// [`Retrier::when`](super::Retrier::when).
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not tell whether a retry can help",
    label = "not `Transient`",
    note = "implement `Transient` for the error, or pass a closure to `Retrier::when`"
)]
pub trait Transient {
    /// Returns `true` if the same operation may succeed later without any intervention.
    fn is_transient(&self) -> bool;

    /// Returns the minimum delay before a retry, if the error knows it. Default: `None`.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

impl Transient for Error {
    fn is_transient(&self) -> bool {
        Self::is_transient(self)
    }

    fn retry_after(&self) -> Option<Duration> {
        Self::retry_after(self)
    }
}

/// Decides by SQLSTATE and by the kind of I/O error: see [`ErrorClass`].
impl Transient for sqlx::Error {
    fn is_transient(&self) -> bool {
        match (error::own(self), self) {
            // For an error of the pool, ask its own error, which may be more precise.
            (Some(own), _) => own.is_transient(),
            (None, Self::PoolClosed) => false,
            (None, _) => error::class_of(self).is_transient(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::PoolTimedOut => Some(error::RETRY_AFTER),
            _ => error::own(self)?.retry_after(),
        }
    }
}

impl Transient for io::Error {
    fn is_transient(&self) -> bool {
        ErrorClass::of_io(self.kind()).is_transient()
    }
}

impl<E: Transient + ?Sized> Transient for Arc<E> {
    fn is_transient(&self) -> bool {
        (**self).is_transient()
    }

    fn retry_after(&self) -> Option<Duration> {
        (**self).retry_after()
    }
}
