//! Blocking work in an async world.

use crate::Error;

/// Runs `work`, which starts programs and waits for them, where blocking harms nobody.
///
/// When the future is dropped, the work goes on and its result is dropped at its end.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::failed("running a blocking task", error.to_string())))
}
