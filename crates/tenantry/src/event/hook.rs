use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::{Event, Meters};

/// A closure that receives events: a synchronous one, which may block, or one that returns a
/// future.
///
/// `M` distinguishes the two and is inferred. Either may return nothing or a `Result<(), _>`;
/// errors and panics are counted and logged, with no other effect.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a hook for `{E}`",
    label = "expected a closure that takes `{E}`",
    note = "write `|event| …` or `|event| async move {{ … }}`; either returns nothing or a `Result<(), _>`"
)]
pub trait Hook<E, M>: Send + Sync + 'static {
    /// Converts the closure into the form that the library calls.
    #[doc(hidden)]
    fn into_call(self) -> Call<E>;
}

/// The return type of a [`Hook`].
#[diagnostic::on_unimplemented(
    message = "a hook cannot return `{Self}`",
    label = "a hook returns nothing or a `Result<(), _>`"
)]
pub trait HookResult {
    /// Returns the error message if the hook failed.
    fn failure(self) -> Option<String>;
}

impl HookResult for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: std::fmt::Display> HookResult for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

type Failure = Option<String>;

/// The callable form of a hook.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "closures have none")]
pub enum Call<E> {
    /// It may block, so it runs on a blocking thread.
    Blocking(Box<dyn Fn(E) -> Failure + Send + Sync>),
    /// It runs in the worker's task.
    Async(Box<dyn Fn(E) -> BoxFuture<'static, Failure> + Send + Sync>),
}

#[doc(hidden)]
#[derive(Debug)]
pub struct BlockingMarker;

#[doc(hidden)]
#[derive(Debug)]
pub struct AsyncMarker;

#[diagnostic::do_not_recommend]
impl<E, F, R> Hook<E, BlockingMarker> for F
where
    F: Fn(E) -> R + Send + Sync + 'static,
    R: HookResult,
{
    fn into_call(self) -> Call<E> {
        Call::Blocking(Box::new(move |event| self(event).failure()))
    }
}

#[diagnostic::do_not_recommend]
impl<E, F, R> Hook<E, AsyncMarker> for F
where
    F: Fn(E) -> R + Send + Sync + 'static,
    R: Future + Send + 'static,
    R::Output: HookResult,
{
    fn into_call(self) -> Call<E> {
        Call::Async(Box::new(move |event| self(event).map(HookResult::failure).boxed()))
    }
}

/// The events that a hook receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// All events, including each statement.
    All,
    /// One rare kind of event.
    OneKind,
}

/// The registered hooks, until the manager is built.
#[derive(Default)]
pub(crate) struct Hooks(Vec<(Of, Worker)>);

/// Processes the events of one hook.
struct Worker {
    wants: fn(&Event) -> bool,
    call: Call<Event>,
}

impl Hooks {
    /// Adds a hook for the events that `wants` accepts; `pick` converts them to the hook's
    /// argument.
    pub(crate) fn add<E: 'static, M>(
        &mut self,
        of: Of,
        wants: fn(&Event) -> bool,
        pick: fn(Event) -> Option<E>,
        hook: impl Hook<E, M>,
    ) {
        let call = match hook.into_call() {
            Call::Blocking(call) => {
                Call::Blocking(Box::new(move |event| pick(event).and_then(&call)))
            }
            Call::Async(call) => Call::Async(Box::new(move |event| match pick(event) {
                Some(event) => call(event),
                None => Box::pin(std::future::ready(None)),
            })),
        };
        self.0.push((of, Worker { wants, call }));
    }

    /// Creates a queue for each hook. The returned futures drain the queues.
    pub(super) fn start(
        self,
        queue: usize,
        tenant_pools: usize,
        meters: &Arc<Meters>,
        shutdown: &CancellationToken,
    ) -> (Vec<Listener>, Vec<BoxFuture<'static, ()>>) {
        let started = self.0.into_iter().map(|(of, worker)| {
            let room = match of {
                Of::All => queue,
                Of::OneKind => room_for_pools(queue, tenant_pools),
            };
            let (sender, receiver) = mpsc::channel(room);
            let work = work(worker.call, receiver, Arc::clone(meters), shutdown.clone());
            (Listener { of, wants: worker.wants, sender }, work.boxed())
        });
        started.unzip()
    }
}

/// The sending side of a hook.
#[derive(Clone)]
pub(super) struct Listener {
    pub(super) of: Of,
    wants: fn(&Event) -> bool,
    sender: mpsc::Sender<Event>,
}

impl Listener {
    /// Queues the event if the hook receives it. Returns `false` if the queue is full.
    pub(super) fn tell(&self, event: &Event) -> bool {
        if !(self.wants)(event) {
            return true;
        }
        !matches!(self.sender.try_send(event.clone()), Err(mpsc::error::TrySendError::Full(_)))
    }
}

/// Returns the queue length that loses no event about tenant pools: all of them may end at once,
/// and each is reported once.
pub(super) fn room_for_pools(queue: usize, tenant_pools: usize) -> usize {
    queue.max(tenant_pools.saturating_mul(2)).min(LONGEST_QUEUE)
}

/// The maximum queue length.
pub(super) const LONGEST_QUEUE: usize = tokio::sync::Semaphore::MAX_PERMITS;

/// Number of events that a hook processes per batch.
const BATCH: usize = 64;

/// Calls one hook with one event at a time until the shutdown, then with the remaining events.
async fn work(
    call: Call<Event>,
    mut events: mpsc::Receiver<Event>,
    meters: Arc<Meters>,
    shutdown: CancellationToken,
) {
    let call = Arc::new(call);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        if shutdown.run_until_cancelled(events.recv_many(&mut batch, BATCH)).await.is_none() {
            // Refuses new events; those already queued remain.
            events.close();
            events.recv_many(&mut batch, BATCH).await;
        }
        if batch.is_empty() {
            return;
        }
        let run = run(Arc::clone(&call), std::mem::take(&mut batch));
        for failure in run.await {
            meters.hook_failures.inc();
            tracing::error!(target: "tenantry::hook", error = failure, "a hook failed");
        }
    }
}

/// Calls a hook with these events and returns the failures.
async fn run(call: Arc<Call<Event>>, events: Vec<Event>) -> Vec<String> {
    if let Call::Async(call) = &*call {
        let mut failures = Vec::new();
        for event in events {
            // Creating the future may panic as well as running it.
            let called = AssertUnwindSafe(async { call(event).await }).catch_unwind().await;
            failures.extend(called.unwrap_or_else(|panic| Some(words_of(&*panic))));
        }
        return failures;
    }
    let blocking = spawn_blocking(move || {
        let Call::Blocking(call) = &*call else { return Vec::new() };
        let one = |event| {
            let called = std::panic::catch_unwind(AssertUnwindSafe(|| call(event)));
            called.unwrap_or_else(|panic| Some(words_of(&*panic)))
        };
        events.into_iter().filter_map(one).collect()
    });
    // It can only fail when the runtime shuts down, and then nothing receives the result.
    blocking.await.unwrap_or_default()
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a message"))
}
