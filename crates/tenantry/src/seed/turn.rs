//! One seed of a schema after the other.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{Error, ErrorKind};

/// How long another session that seeds the same schema is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long until the next look whether it has ended. Nothing is held meanwhile, neither a connection nor a
/// lock.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Patience with whoever seeds the same schema.
#[derive(Debug)]
pub(super) struct Turn {
    deadline: Instant,
}

impl Turn {
    pub(super) fn new() -> Self {
        Self { deadline: Instant::now() + PATIENCE }
    }

    /// Waits a little when somebody else is seeding the schema. Returns `false`, at once, when there should not
    /// be another look.
    pub(super) async fn wait_after<T>(&self, outcome: &Result<T, Error>) -> bool {
        let is_busy = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Busy);
        let again = is_busy && Instant::now() < self.deadline;
        if again {
            sleep(LOOK_AGAIN).await;
        }
        again
    }
}
