use std::time::Duration;

use super::hook::LONGEST_QUEUE;
use crate::error::OptionsError;

/// What is told about statements, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventOptions {
    /// Whether there is an event for every statement on a handle. Default: `true`.
    ///
    /// It is built only where somebody wants it: a hook for all events, or a subscriber of `tracing`
    /// at `DEBUG`. Slow statements are told in any case.
    ///
    /// What runs on a [`Lease`](crate::Lease) or in a transaction goes straight to sqlx, which tells
    /// of it at `TRACE` under the target `sqlx::query`; see [`Lease::span`](crate::Lease::span). What
    /// the library asks on its own account is told when it is slow.
    pub queries: bool,
    /// From which duration on a statement is slow, and a lease that was handed out long. Default: 1 s.
    pub slow_query_threshold: Duration,
    /// Characters of a statement that are told, at most. Default: 200.
    pub statement_length: usize,
    /// Events that may wait for one hook. Default: 1,024; for hooks of one kind at least twice the number
    /// of tenant pools, so that none is left out when all of them end at once.
    ///
    /// More are left out, which is logged once each time that it begins, and counted by the metric
    /// `tenantry_events_dropped_total`: a hook that is slower than the service must not use up its
    /// memory. A subscriber of `tracing` that hangs has the room of hooks of one kind.
    pub queue: usize,
}

impl Default for EventOptions {
    fn default() -> Self {
        Self {
            queries: true,
            slow_query_threshold: Duration::from_secs(1),
            statement_length: 200,
            queue: 1_024,
        }
    }
}

impl EventOptions {
    /// Sets [`queries`](Self::queries).
    #[must_use]
    pub fn queries(mut self, queries: bool) -> Self {
        self.queries = queries;
        self
    }

    /// Sets [`slow_query_threshold`](Self::slow_query_threshold).
    #[must_use]
    pub fn slow_query_threshold(mut self, threshold: Duration) -> Self {
        self.slow_query_threshold = threshold;
        self
    }

    /// Sets [`statement_length`](Self::statement_length).
    #[must_use]
    pub fn statement_length(mut self, characters: usize) -> Self {
        self.statement_length = characters;
        self
    }

    /// Sets [`queue`](Self::queue).
    #[must_use]
    pub fn queue(mut self, events: usize) -> Self {
        self.queue = events;
        self
    }

    /// Checks that the options can be used.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] names the option and what it must be.
    pub fn check(&self) -> Result<(), OptionsError> {
        match self.queue {
            0 => Err(OptionsError::new("queue", "be at least 1")),
            1..=LONGEST_QUEUE => Ok(()),
            _ => Err(OptionsError::new("queue", format!("be at most {LONGEST_QUEUE}"))),
        }
    }
}
