use std::{fmt, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};

/// When a server stops, and how long each phase of stopping may take.
///
/// Kubernetes kills a pod 30 s after SIGTERM, so `ready_delay`, `drain` and `close_within` together should stay below
/// its `terminationGracePeriodSeconds`. The defaults sum up to 15 s.
#[must_use = "options do nothing until a server gets them"]
pub struct ServeOptions {
    pub(super) drain: Duration,
    pub(super) ready_delay: Duration,
    pub(super) close_within: Duration,
    pub(super) signals: bool,
    pub(super) stop: Option<BoxFuture<'static, ()>>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(10),
            ready_delay: Duration::ZERO,
            close_within: Duration::from_secs(5),
            signals: true,
            stop: None,
        }
    }
}

impl ServeOptions {
    /// Sets how long requests under way may take once the server stops accepting. Default: 10 s.
    pub fn drain(mut self, limit: Duration) -> Self {
        self.drain = limit;
        self
    }

    /// Sets how long requests are still accepted while `/readyz` answers 503 already. Default: zero.
    ///
    /// A load balancer goes on sending requests until it has noticed: with Kubernetes, some seconds after the pod is
    /// marked as terminating.
    pub fn ready_delay(mut self, delay: Duration) -> Self {
        self.ready_delay = delay;
        self
    }

    /// Sets how long closing the manager waits for leases after that. Default: 5 s.
    pub fn close_within(mut self, limit: Duration) -> Self {
        self.close_within = limit;
        self
    }

    /// Sets whether SIGTERM and Ctrl-C stop the server. Default: `true`.
    pub fn signals(mut self, listen: bool) -> Self {
        self.signals = listen;
        self
    }

    /// Stops the server when this future ends, too.
    pub fn stop_when(mut self, asked: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Some(asked.boxed());
        self
    }

    pub(crate) fn longest(&self) -> Duration {
        self.ready_delay.saturating_add(self.drain).saturating_add(self.close_within)
    }
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions")
            .field("drain", &self.drain)
            .field("ready_delay", &self.ready_delay)
            .field("close_within", &self.close_within)
            .field("signals", &self.signals)
            .finish_non_exhaustive()
    }
}
