use std::time::Duration;

use super::hook::LONGEST_QUEUE;
use crate::error::OptionsError;

/// Options for events about statements and leases.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventOptions {
    /// Whether every statement on a handle emits an event. Default: `true`.
    ///
    /// The event is built only if there is a recipient: a hook for all events, or a `tracing`
    /// subscriber at `DEBUG`. Slow statements are always reported.
    ///
    /// Statements on a [`Lease`](crate::Lease) or in a transaction go straight to sqlx, which logs
    /// them at `TRACE` under the target `sqlx::query`; see [`Lease::span`](crate::Lease::span). The
    /// library's own statements are reported only when they are slow.
    pub queries: bool,
    /// Duration from which a statement counts as slow, and a lease as long. Default: 1 s.
    pub slow_query_threshold: Duration,
    /// Maximum number of characters of a statement in an event. Default: 200.
    pub statement_length: usize,
    /// Maximum number of events that wait for one hook. Default: 1,024; for hooks of one kind at
    /// least twice the number of tenant pools, so that none is lost when all of them end at once.
    ///
    /// Further events are dropped, counted by the metric `tenantry_events_dropped_total`, and
    /// logged once each time that dropping starts: a hook that is slower than the service must not
    /// exhaust its memory. A hanging `tracing` subscriber has a queue of the size of hooks of one
    /// kind.
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

    /// Validates the options.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] names the option and the accepted values.
    pub fn check(&self) -> Result<(), OptionsError> {
        match self.queue {
            0 => Err(OptionsError::new("queue", "be at least 1")),
            1..=LONGEST_QUEUE => Ok(()),
            _ => Err(OptionsError::new("queue", format!("be at most {LONGEST_QUEUE}"))),
        }
    }
}
