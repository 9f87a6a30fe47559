use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::Level;

use super::{
    Event, EventOptions, Hooks, Meters, Of, PoolError, Query, Rebind, Retry, RetryOf,
    hook::{Listener, room_for_pools},
    statement::shorten,
    trace::trace,
};
use crate::{
    error::{ErrorClass, class_of, own},
    error_report::ErrorReport,
    tenant::TenantId,
};

/// Central recipient of all events.
pub(crate) struct Observer {
    pub(crate) meters: Arc<Meters>,
    options: EventOptions,
    /// The name of the server, if there are several.
    server: OnceLock<Arc<str>>,
    listeners: Vec<Listener>,
    /// The hooks' worker futures, until they are spawned.
    workers: Mutex<Vec<BoxFuture<'static, ()>>>,
    /// `true` if the last event did not reach all hooks.
    overflowing: AtomicBool,
    /// Pool events that have not been delivered yet, oldest first.
    untold: Mutex<VecDeque<Event>>,
    /// Maximum length of that queue: a hanging subscriber must not exhaust memory.
    most_untold: usize,
    /// Held by the thread that delivers them.
    telling: Mutex<()>,
}

/// The session on which something happened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) tenant: Option<&'a TenantId>,
    pub(crate) schema: &'a Arc<str>,
}

/// A statement that has ended.
#[derive(Debug)]
pub(crate) struct Ran<'a> {
    pub(crate) whose: Whose<'a>,
    pub(crate) sql: &'a str,
    pub(crate) duration: Duration,
    /// Number of rows, or the class of the error.
    pub(crate) outcome: Result<u64, ErrorClass>,
}

impl Observer {
    /// Creates an observer for a pool of at most this many tenant pools.
    pub(crate) fn new(
        options: EventOptions,
        hooks: Hooks,
        tenant_pools: usize,
        shutdown: &CancellationToken,
    ) -> Self {
        let meters = Arc::new(Meters::new());
        let most_untold = room_for_pools(options.queue, tenant_pools);
        let (listeners, workers) = hooks.start(options.queue, tenant_pools, &meters, shutdown);
        Self {
            meters,
            options,
            server: OnceLock::new(),
            listeners,
            workers: Mutex::new(workers),
            overflowing: AtomicBool::new(false),
            untold: Mutex::new(VecDeque::new()),
            most_untold,
            telling: Mutex::new(()),
        }
    }

    /// Creates an observer of another pool, with meters of its own and the same hooks.
    pub(crate) fn beside(&self, tenant_pools: usize) -> Self {
        Self {
            meters: Arc::new(Meters::new()),
            options: self.options.clone(),
            server: OnceLock::new(),
            listeners: self.listeners.clone(),
            workers: Mutex::default(),
            overflowing: AtomicBool::new(false),
            untold: Mutex::new(VecDeque::new()),
            most_untold: room_for_pools(self.options.queue, tenant_pools),
            telling: Mutex::new(()),
        }
    }

    /// Creates an observer of another pool, with the same meters and hooks.
    pub(crate) fn sharing(&self, tenant_pools: usize) -> Self {
        Self { meters: Arc::clone(&self.meters), ..self.beside(tenant_pools) }
    }

    /// Names the server in each event from now on.
    pub(crate) fn name_server(&self, name: &str) {
        self.server.get_or_init(|| name.into());
    }

    /// Returns the name of the server, if there are several.
    pub(crate) fn server(&self) -> Option<&Arc<str>> {
        self.server.get()
    }

    /// Takes the hooks' worker futures. The caller must run them.
    pub(crate) fn take_workers(&self) -> Vec<BoxFuture<'static, ()>> {
        std::mem::take(&mut self.workers.lock())
    }

    /// Delivers an event to all recipients. A panicking `tracing` subscriber is counted, with no
    /// other effect.
    pub(crate) fn tell(&self, event: Event) {
        let event = match self.server.get() {
            Some(server) => event.on(server),
            None => event,
        };
        if catch_unwind(AssertUnwindSafe(|| trace(&event))).is_err() {
            self.meters.hook_failures.inc();
        }
        let refused = self.listeners.iter().filter(|listener| !listener.tell(&event)).count();
        if refused == 0 {
            self.overflowing.store(false, Ordering::Relaxed);
            return;
        }
        self.meters.events_dropped.inc_by(u64::try_from(refused).unwrap_or(u64::MAX));
        if !self.overflowing.swap(true, Ordering::Relaxed) {
            let told = || {
                tracing::warn!(target: "tenantry::hook", "a hook is too slow: it does not get all events");
            };
            drop(catch_unwind(AssertUnwindSafe(told)));
        }
    }

    /// Adds an event to the ordered queue. The caller must call
    /// [`tell_in_order`](Self::tell_in_order) afterwards, without holding a lock.
    ///
    /// If the queue is full, the event is counted as dropped.
    pub(crate) fn queue(&self, event: Event) {
        let mut untold = self.untold.lock();
        if untold.len() < self.most_untold {
            untold.push_back(event);
        } else {
            self.meters.events_dropped.inc();
        }
    }

    /// Delivers queued events in order; one thread does so on behalf of all.
    pub(crate) fn tell_in_order(&self) {
        while !self.untold.lock().is_empty() {
            // The thread that delivers continues until the queue is empty.
            let Some(_telling) = self.telling.try_lock() else { return };
            loop {
                let Some(event) = self.untold.lock().pop_front() else { break };
                self.tell(event);
            }
        }
    }

    /// Emits an event for a statement of the application, if there is a recipient.
    pub(crate) fn query(&self, ran: &Ran<'_>) {
        self.meters.queried(ran.duration);
        self.own_query(ran);
        let wanted = self.options.queries
            && (self.is_heard() || tracing::enabled!(target: "tenantry::query", Level::DEBUG));
        if wanted && !self.is_slow(ran.duration) {
            self.tell(Event::Query(self.told(ran)));
        }
    }

    /// Counts a failed statement of the library and reports a slow one; nothing else is reported
    /// about the library's own statements.
    pub(crate) fn own_query(&self, ran: &Ran<'_>) {
        if let Err(class) = ran.outcome {
            self.meters.failed(class);
        }
        if self.is_slow(ran.duration) {
            self.meters.slow_queries.inc();
            self.tell(Event::SlowQuery(self.told(ran)));
        }
    }

    fn told(&self, ran: &Ran<'_>) -> Query {
        Query {
            tenant_id: ran.whose.tenant.cloned(),
            schema: Arc::clone(ran.whose.schema),
            statement: shorten(ran.sql, self.options.statement_length),
            duration: ran.duration,
            rows: ran.outcome.unwrap_or_default(),
            error: ran.outcome.err(),
            server: None,
        }
    }

    /// Emits an event for a bind, if there is a recipient.
    pub(crate) fn rebound(&self, whose: Whose<'_>, duration: Duration) {
        self.meters.rebound(duration);
        if self.is_heard() || tracing::enabled!(target: "tenantry::pool", Level::TRACE) {
            self.tell(Event::Rebind(Rebind {
                tenant_id: whose.tenant.cloned(),
                schema: Arc::clone(whose.schema),
                duration,
                server: None,
            }));
        }
    }

    /// Emits an event for a retry.
    pub(crate) fn retrying(&self, retry: Retry) {
        self.meters.retried(retry.of);
        self.tell(Event::Retry(retry));
    }

    /// Returns `true` if the duration of a statement or lease reaches the threshold.
    pub(crate) fn is_slow(&self, took: Duration) -> bool {
        took >= self.options.slow_query_threshold
    }

    /// Returns `true` if a hook receives all events.
    fn is_heard(&self) -> bool {
        self.listeners.iter().any(|listener| listener.of == Of::All)
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer")
            .field("options", &self.options)
            .field("hooks", &self.listeners.len())
            .finish_non_exhaustive()
    }
}

impl PoolError {
    pub(crate) fn new(
        tenant: Option<&TenantId>,
        attempted: &'static str,
        error: &sqlx::Error,
    ) -> Self {
        let tenant_id = tenant.cloned();
        let words = match own(error) {
            Some(own) => ErrorReport::new(own).to_string(),
            None => ErrorReport::new(error).to_string(),
        };
        let (class, error) = (class_of(error), words.into());
        Self { tenant_id, attempted, class, error, server: None }
    }
}

impl Retry {
    pub(crate) fn new(
        of: RetryOf,
        tenant: Option<&TenantId>,
        (attempt, max_attempts): (u32, u32),
        delay: Duration,
        (class, error): (ErrorClass, String),
    ) -> Self {
        let tenant_id = tenant.cloned();
        let error = error.into();
        Self { of, tenant_id, attempt, max_attempts, delay, class, error, server: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::AcquireTimeout;

    #[test]
    fn what_nobody_comes_to_tell_is_bounded_and_counted() {
        let options = EventOptions::default().queue(10);
        let shutdown = CancellationToken::new();
        let observer = Observer::new(options, Hooks::default(), 20, &shutdown);
        let event = || {
            let (waited, reason) = (Duration::ZERO, String::new());
            Event::AcquireTimeout(AcquireTimeout { tenant_id: None, waited, reason, server: None })
        };
        // Twenty tenant pools may begin and end.
        (0..1_000).for_each(|_| observer.queue(event()));
        assert_eq!(observer.untold.lock().len(), 40);
        assert_eq!(observer.meters.events_dropped.get(), 960);
        observer.tell_in_order();
        observer.queue(event());
        assert_eq!(observer.untold.lock().len(), 1);
        assert_eq!(observer.meters.events_dropped.get(), 960);
    }
}
