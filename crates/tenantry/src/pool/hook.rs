//! Hooks of the application that run on a connection.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::error::{Error, ErrorKind, own};

/// Runs a hook that uses a connection, and names it if it fails or panics.
pub(super) async fn run_hook(
    name: &'static str,
    hook: impl Future<Output = sqlx::Result<()>>,
) -> Result<(), Error> {
    match AssertUnwindSafe(hook).catch_unwind().await {
        Ok(ended) => ended.map_err(|error| Error::new(ErrorKind::Hook, name).with_source(error)),
        Err(_) => Err(Error::new(ErrorKind::Hook, format!("{name} panicked"))),
    }
}

/// Returns `true` if the application's hook failed, and not the connection.
pub(super) fn is_of_hook(error: &sqlx::Error) -> bool {
    own(error).is_some_and(|own| own.kind() == ErrorKind::Hook)
}
