//! Runs blocking work from async code.

use crate::Error;

/// Runs `work`, which starts programs and waits for them, on a thread where it can block.
///
/// If the future is dropped, the work continues and its result is dropped at its end.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::failed("running a blocking task", error.to_string())))
}
