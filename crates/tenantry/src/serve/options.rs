use std::{fmt, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};

/// Shutdown triggers, and the time limit of each shutdown phase.
///
/// Kubernetes kills a pod 30 s after SIGTERM, so `ready_delay`, `drain` and `close_within` together should stay below
/// its `terminationGracePeriodSeconds`. The defaults add up to 15 s.
#[must_use = "options do nothing until a server gets them"]
pub struct ServeOptions {
    pub(super) drain: Duration,
    pub(super) ready_delay: Duration,
    pub(super) close_within: Duration,
    pub(super) signals: bool,
    pub(super) second_signal: SecondSignal,
    pub(super) stop: Option<BoxFuture<'static, ()>>,
}

/// The effect of a second signal on the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecondSignal {
    /// The process ends within a second.
    Exits,
    /// The server returns at once; the program decides the rest.
    Returns,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(10),
            ready_delay: Duration::ZERO,
            close_within: Duration::from_secs(5),
            signals: true,
            second_signal: SecondSignal::Exits,
            stop: None,
        }
    }
}

impl ServeOptions {
    /// Sets how long requests in flight may take once the server stops accepting. Default: 10 s.
    pub fn drain(mut self, limit: Duration) -> Self {
        self.drain = limit;
        self
    }

    /// Sets how long requests are still accepted after `/readyz` has started to answer 503.
    /// Default: zero.
    ///
    /// A load balancer keeps sending requests until it notices: with Kubernetes, some seconds after
    /// the pod is marked as terminating.
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

    /// Sets whether a second signal ends the process. Default: `true`.
    ///
    /// A second signal always ends serving at once, with
    /// [`ServeEnd::Forced`](super::ServeEnd::Forced). The program then has one second to end by
    /// itself; after that the process exits with 130 (Ctrl-C) or 143 (SIGTERM). This also applies
    /// after serving has ended, while the program cleans up. Otherwise a blocking task or a
    /// destructor could hang the process, and Ctrl-C would have no effect. Destructors that have
    /// not run by then are skipped. With `false` the library never exits the process.
    pub fn exit_on_second_signal(mut self, exit: bool) -> Self {
        self.second_signal = if exit { SecondSignal::Exits } else { SecondSignal::Returns };
        self
    }

    /// Also stops the server when this future completes.
    pub fn stop_when(mut self, asked: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Some(asked.boxed());
        self
    }
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions")
            .field("drain", &self.drain)
            .field("ready_delay", &self.ready_delay)
            .field("close_within", &self.close_within)
            .field("signals", &self.signals)
            .field("second_signal", &self.second_signal)
            .finish_non_exhaustive()
    }
}
