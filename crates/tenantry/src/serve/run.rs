use std::{fmt, future::pending, io, pin::pin, process, thread, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Either, select},
};
use tokio::{
    runtime,
    sync::oneshot,
    time::{Instant, timeout},
};

use super::{
    ServeEnd, ServeOptions, ServeReport,
    options::SecondSignal,
    signals::{Signals, StopSignal},
};
use crate::manager::TenantManager;

/// A framework's server, as seen by the shutdown.
pub trait Serving: Send {
    /// Completes when no connection is left, or when serving has failed. It may be cancelled and
    /// called again.
    fn ended(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Stops accepting, and closes each connection once its request is answered.
    fn drain(&mut self);

    /// Cuts every connection, and returns how many there were if the framework reports it.
    fn cut(&mut self) -> impl Future<Output = Option<usize>> + Send;
}

/// How a phase ended.
enum Left {
    /// No connection is left, or serving has failed.
    Ended(io::Result<()>),
    /// Its time limit has expired.
    Late,
    /// A second signal arrived.
    Forced(StopSignal),
}

/// How long the program may take to end after a second signal.
const LAST_GRACE: Duration = Duration::from_secs(1);

impl ServeOptions {
    /// Serves until the server is told to stop, shuts it down in [order](super), and closes the
    /// manager.
    ///
    /// # Errors
    ///
    /// When signal handlers cannot be installed, or serving fails. The manager is closed even then.
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
        let undrained = manager.serving().token();
        let Self { drain, ready_delay, close_within, second_signal, stop, .. } = self;
        let stopped = {
            let asked = pin!(asked(&mut signals, stop, manager));
            match select(asked, pin!(serving.ended())).await {
                Either::Left((why, _)) => Ok(why),
                Either::Right((ended, _)) => Err(ended),
            }
        };
        let began = Instant::now();
        manager.begin_closing();
        let mut stopping = Stopping { signals, second_signal };
        let (end, cut) = match stopped {
            Ok(why) => {
                if let (Asked::By(_), SecondSignal::Exits) = (&why, second_signal) {
                    exit_at_next_signal().await;
                }
                tracing::info!(?ready_delay, ?drain, "stopping: {why}");
                stopping.wind_down(&mut serving, ready_delay, drain).await
            }
            Err(ended) => (ended.map(|()| ServeEnd::Drained), None),
        };
        let drain = began.elapsed();
        drop(undrained);
        let end = stopping.close(manager, close_within, end).await?;
        let close = began.elapsed().saturating_sub(drain);
        let report = ServeReport { end, cut, drain, close };
        tracing::info!("stopped: {report}");
        Ok(report)
    }
}

/// The reason for the stop.
enum Asked {
    By(StopSignal),
    StopWhen,
    Closing,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(signal) => signal.fmt(f),
            Self::StopWhen => f.write_str("the program asks for it"),
            Self::Closing => f.write_str("the manager is closing"),
        }
    }
}

/// Waits until the server is told to stop.
async fn asked(
    signals: &mut Option<Signals>,
    stop: Option<BoxFuture<'static, ()>>,
    manager: &TenantManager,
) -> Asked {
    let signal = pin!(next(signals).map(Asked::By));
    let stop = async { if let Some(stop) = stop { stop.await } else { pending().await } };
    let stop = pin!(stop.map(|()| Asked::StopWhen));
    let closing = pin!(manager.closing().map(|()| Asked::Closing));
    select(signal, select(stop, closing).map(|either| either.factor_first().0))
        .await
        .factor_first()
        .0
}

/// Waits for the next signal; forever if signals are not listened to.
async fn next(signals: &mut Option<Signals>) -> StopSignal {
    match signals {
        Some(signals) => signals.next().await,
        None => pending().await,
    }
}

/// A server that is shutting down.
struct Stopping {
    signals: Option<Signals>,
    second_signal: SecondSignal,
}

impl Stopping {
    async fn wind_down(
        &mut self,
        serving: &mut impl Serving,
        ready_delay: Duration,
        drain: Duration,
    ) -> (io::Result<ServeEnd>, Option<usize>) {
        let mut left = Left::Late;
        if !ready_delay.is_zero() {
            left = self.phase(serving, ready_delay).await;
        }
        if let Left::Late = left {
            serving.drain();
            left = self.phase(serving, drain).await;
        }
        let end = match left {
            Left::Ended(ended) => return (ended.map(|()| ServeEnd::Drained), Some(0)),
            Left::Late => ServeEnd::Cut,
            Left::Forced(signal) => {
                self.force(signal);
                serving.drain();
                ServeEnd::Forced
            }
        };
        let cut = serving.cut().await;
        tracing::warn!(connections = cut, "connections were closed");
        (Ok(end), cut)
    }

    async fn phase(&mut self, serving: &mut impl Serving, limit: Duration) -> Left {
        // A signal that has already arrived is handled first.
        let (again, ended) = (pin!(next(&mut self.signals)), pin!(serving.ended()));
        match timeout(limit, select(again, ended)).await {
            Ok(Either::Left((signal, _))) => Left::Forced(signal),
            Ok(Either::Right((ended, _))) => Left::Ended(ended),
            Err(_) => Left::Late,
        }
    }

    /// Closes the manager once no other server of it is draining. Does not wait after a forced end.
    async fn close(
        &mut self,
        manager: &TenantManager,
        within: Duration,
        end: io::Result<ServeEnd>,
    ) -> io::Result<ServeEnd> {
        if let Ok(ServeEnd::Forced) = end {
            // One poll refuses new acquires; the rest continues while the program ends.
            let _ = manager.close_within(within).now_or_never();
            return end;
        }
        let closing = pin!(async {
            manager.serving().close();
            manager.serving().wait().await;
            manager.close_within(within).await;
        });
        let again = match select(pin!(next(&mut self.signals)), closing).await {
            Either::Left((signal, _)) => signal,
            Either::Right(((), _)) => return end,
        };
        self.force(again);
        let _ = manager.close_within(within).now_or_never();
        end.map(|_| ServeEnd::Forced)
    }

    /// Ends the process soon unless it ends by itself: a blocking task or a destructor may hang it.
    fn force(&self, signal: StopSignal) {
        tracing::warn!("{signal} again: ending at once");
        if self.second_signal == SecondSignal::Returns {
            return;
        }
        let spawned = guard().spawn(move || exit_after_grace(signal));
        if spawned.is_err() {
            process::exit(signal.exit_code());
        }
    }
}

/// Ends the process soon after the next signal. Returns when that signal is listened to.
///
/// It watches on a separate thread and runtime, so that neither a blocked runtime nor a program
/// that is busy after serving has ended can swallow the signal: tokio's signal handlers stay
/// installed.
async fn exit_at_next_signal() {
    let (listening, listens) = oneshot::channel();
    let watch = || match listen() {
        Ok((runtime, mut signals)) => {
            let _ = listening.send(Ok(()));
            exit_after_grace(runtime.block_on(signals.next()))
        }
        Err(error) => drop(listening.send(Err(error))),
    };
    let listens = match guard().spawn(watch) {
        Ok(_) => listens.await.unwrap_or(Ok(())),
        Err(error) => Err(error),
    };
    if let Err(error) = listens {
        tracing::warn!(%error, "a second signal is only noticed while requests are drained");
    }
}

fn listen() -> io::Result<(runtime::Runtime, Signals)> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let signals = runtime.block_on(async { Signals::listen() })?;
    Ok((runtime, signals))
}

fn guard() -> thread::Builder {
    thread::Builder::new().name("tenantry-exit".to_owned())
}

fn exit_after_grace(signal: StopSignal) -> ! {
    thread::sleep(LAST_GRACE);
    process::exit(signal.exit_code())
}
