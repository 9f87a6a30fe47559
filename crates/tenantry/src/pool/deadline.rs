//! Timeouts.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::session_error::timed_out;

/// Returns the time after a delay, without overflow.
pub(crate) fn after(patience: Duration) -> Instant {
    const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    Instant::now() + patience.min(A_YEAR)
}

/// Runs an operation on a connection, which fails with an I/O error when it takes too long.
pub(super) async fn within<T>(
    limit: Duration,
    operation: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    timeout(limit, operation).await.unwrap_or_else(|_| Err(timed_out()))
}
