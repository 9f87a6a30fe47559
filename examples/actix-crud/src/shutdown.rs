//! The end of the program: what has begun is finished, but not waited for for ever.

use std::{io, pin::pin};

use actix_web::dev::Server;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How many seconds requests may take after the program was told to end. Less than the 30 s after which
/// Kubernetes and systemd lose their patience.
pub(crate) const DRAIN: u64 = 10;

/// The signals that end the program. actix listens to them too, but cuts all requests off at Ctrl-C.
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
pub(crate) async fn serve(server: Server, mut stop: StopSignals) -> io::Result<()> {
    let handle = server.handle();
    let mut server = pin!(server);
    tokio::select! {
        ended = &mut server => return ended,
        () = stop.any() => {}
    }
    tracing::info!("no new requests are accepted");
    // The server carries the command out while it is polled.
    let ((), ended) = tokio::join!(handle.stop(true), server);
    tracing::info!("the server has stopped");
    ended
}
