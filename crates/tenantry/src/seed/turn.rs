//! Serializes the seeds of a schema.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{Error, ErrorKind};

/// How long to wait for another session that seeds the same schema.
const PATIENCE: Duration = Duration::from_secs(60);

/// The interval between checks. Meanwhile neither a connection nor a lock is held.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The wait for another session that seeds the same schema.
#[derive(Debug)]
pub(super) struct Turn {
    deadline: Instant,
}

impl Turn {
    pub(super) fn new() -> Self {
        Self { deadline: Instant::now() + PATIENCE }
    }

    /// Waits briefly if another session is seeding the schema. Returns `false` immediately if there should not be
    /// another attempt.
    pub(super) async fn wait_after<T>(&self, outcome: &Result<T, Error>) -> bool {
        let is_busy = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Busy);
        let again = is_busy && Instant::now() < self.deadline;
        if again {
            sleep(LOOK_AGAIN).await;
        }
        again
    }
}
