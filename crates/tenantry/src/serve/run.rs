use std::{future::pending, io, pin::pin, process, thread, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Either, select},
};
use tokio::time::{Instant, timeout};

use super::{
    ServeEnd, ServeOptions, ServeReport,
    signals::{Signals, StopSignal},
};
use crate::manager::TenantManager;

/// A server of some framework, as the shutdown drives it.
pub trait Serving: Send {
    /// Completes when no connection is left, or when serving has failed. It is cancelled and called again.
    fn ended(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Accepts no more, and closes each connection once its request is answered.
    fn drain(&mut self);

    /// Cuts every connection, and returns how many there were if the framework tells.
    fn cut(&mut self) -> impl Future<Output = Option<usize>> + Send;
}

/// How a phase was left.
enum Left {
    /// No connection is left, or serving has failed.
    Ended(io::Result<()>),
    /// Its time is over.
    Late,
    /// A second signal has come.
    Forced(StopSignal),
}

/// How long the program may take to end after a second signal.
const LAST_GRACE: Duration = Duration::from_secs(1);

impl ServeOptions {
    /// Serves until the server is told to stop, stops it in [order](super), and closes the manager.
    ///
    /// # Errors
    ///
    /// When signals cannot be listened to, or serving fails. The manager is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the manager is not closed, and what happens to connections is up to the framework.
    pub async fn run(
        self,
        manager: &TenantManager,
        mut serving: impl Serving,
    ) -> io::Result<ServeReport> {
        let mut signals = if self.signals { Some(Signals::listen()?) } else { None };
        let Self { drain, ready_delay, close_within, stop, .. } = self;
        let stopped = {
            let asked = pin!(asked(&mut signals, stop, manager));
            match select(asked, pin!(serving.ended())).await {
                Either::Left((why, _)) => Ok(why),
                Either::Right((ended, _)) => Err(ended),
            }
        };
        let began = Instant::now();
        manager.begin_closing();
        let (end, cut) = match stopped {
            Ok(why) => {
                tracing::info!(?ready_delay, ?drain, "stopping: {why}");
                let mut phases = Phases { serving: &mut serving, signals: &mut signals };
                phases.wind_down(ready_delay, drain).await
            }
            Err(ended) => (ended.map(|()| ServeEnd::Drained), None),
        };
        let drain = began.elapsed();
        let end = close(manager, close_within, end, &mut signals).await?;
        let close = began.elapsed().saturating_sub(drain);
        let report = ServeReport { end, cut, drain, close };
        tracing::info!("stopped: {report}");
        Ok(report)
    }

    /// Returns how long stopping takes at most.
    #[must_use]
    pub fn longest_stop(&self) -> Duration {
        self.longest()
    }
}

/// Waits until the server is told to stop, and says by what.
async fn asked(
    signals: &mut Option<Signals>,
    stop: Option<BoxFuture<'static, ()>>,
    manager: &TenantManager,
) -> String {
    let signal = pin!(next(signals).map(|signal| signal.to_string()));
    let stop = async { if let Some(stop) = stop { stop.await } else { pending().await } };
    let stop = pin!(stop.map(|()| "asked to".to_owned()));
    let closing = pin!(manager.closing().map(|()| "the manager is closing".to_owned()));
    select(signal, select(stop, closing).map(|either| either.factor_first().0))
        .await
        .factor_first()
        .0
}

/// Waits for the next signal; indefinitely where none are listened to.
async fn next(signals: &mut Option<Signals>) -> StopSignal {
    match signals {
        Some(signals) => signals.next().await,
        None => pending().await,
    }
}

struct Phases<'a, S> {
    serving: &'a mut S,
    signals: &'a mut Option<Signals>,
}

impl<S: Serving> Phases<'_, S> {
    async fn wind_down(
        &mut self,
        ready_delay: Duration,
        drain: Duration,
    ) -> (io::Result<ServeEnd>, Option<usize>) {
        let mut left = Left::Late;
        if !ready_delay.is_zero() {
            left = self.phase(ready_delay).await;
        }
        if let Left::Late = left {
            self.serving.drain();
            left = self.phase(drain).await;
        }
        let end = match left {
            Left::Ended(ended) => return (ended.map(|()| ServeEnd::Drained), Some(0)),
            Left::Late => ServeEnd::Cut,
            Left::Forced(signal) => {
                force(signal);
                self.serving.drain();
                ServeEnd::Forced
            }
        };
        let cut = self.serving.cut().await;
        tracing::warn!(connections = cut, "connections were cut");
        (Ok(end), cut)
    }

    async fn phase(&mut self, limit: Duration) -> Left {
        let (ended, again) = (pin!(self.serving.ended()), pin!(next(self.signals)));
        match timeout(limit, select(ended, again)).await {
            Ok(Either::Left((ended, _))) => Left::Ended(ended),
            Ok(Either::Right((signal, _))) => Left::Forced(signal),
            Err(_) => Left::Late,
        }
    }
}

/// Closes the manager, and does not wait for it once the end is forced.
async fn close(
    manager: &TenantManager,
    within: Duration,
    end: io::Result<ServeEnd>,
    signals: &mut Option<Signals>,
) -> io::Result<ServeEnd> {
    let closing = pin!(manager.close_within(within));
    if let Ok(ServeEnd::Forced) = end {
        // One poll refuses new acquires; the rest goes on while the program ends.
        let _ = closing.now_or_never();
        return end;
    }
    match select(closing, pin!(next(signals))).await {
        Either::Left(((), _)) => end,
        Either::Right((signal, _)) => {
            force(signal);
            end.map(|_| ServeEnd::Forced)
        }
    }
}

/// Has the process end soon, even if a blocking task or a destructor holds it.
fn force(signal: StopSignal) {
    tracing::warn!("{signal} again: ending at once");
    let guard = thread::Builder::new().name("tenantry-exit".to_owned());
    let spawned = guard.spawn(move || {
        thread::sleep(LAST_GRACE);
        process::exit(signal.exit_code());
    });
    if spawned.is_err() {
        process::exit(signal.exit_code());
    }
}
