//! Timeouts.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::session_error::timed_out;

/// Returns the time after a delay, without overflow.
pub(crate) fn after(patience: Duration) -> Instant {
    const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    Instant::now() + patience.min(A_YEAR)
}

/// Runs an operation on a connection, which fails with an I/O error when it takes too long.
///
/// Not an `async fn`, which would store the operation twice.
pub(super) fn within<T>(
    limit: Duration,
    operation: impl Future<Output = sqlx::Result<T>>,
) -> impl Future<Output = sqlx::Result<T>> {
    timeout(limit, operation).map(|ended| ended.unwrap_or_else(|_| Err(timed_out())))
}
