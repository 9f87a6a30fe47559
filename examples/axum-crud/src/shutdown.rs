//! The end of the program: what has begun is finished, but not waited for for ever.

use std::{io, pin::pin, time::Duration};

use axum::Router;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time::timeout,
};

/// How long requests may take after the program was told to end. Less than the 30 s after which
/// Kubernetes and systemd lose their patience.
const DRAIN: Duration = Duration::from_secs(10);

/// The signals that end the program.
pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Listens to Ctrl-C and SIGTERM from now on, not from the first poll.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Serves requests until a signal comes, and then those that have begun, for as long as [`DRAIN`].
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    mut stop: StopSignals,
) -> io::Result<()> {
    let (drain, draining) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        let _ = draining.await;
    });
    let mut server = pin!(server.into_future());
    tokio::select! {
        ended = &mut server => return ended,
        () = stop.any() => {}
    }
    tracing::info!("no new requests are accepted");
    let _ = drain.send(());
    match timeout(DRAIN, server).await {
        Ok(ended) => {
            tracing::info!("all requests are finished");
            ended
        }
        Err(_) => {
            tracing::warn!("some requests are not finished in time");
            Ok(())
        }
    }
}
