//! Ctrl-C and SIGTERM: the first signal asks a command to end, the second one terminates the process.

use std::process;

use tokio::sync::watch;

use crate::output;

/// The exit code of a process that a second Ctrl-C has terminated, following the convention of shells: 128 + SIGINT.
const KILLED: i32 = 130;

/// Tells a command whether it was asked to end. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Starts listening. Must be called within a runtime.
    pub(crate) fn listen() -> Self {
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            wait_for_signal().await;
            output::tell(
                "stopping: finishing the work in progress; press Ctrl-C again to stop immediately\n",
            );
            sender.send_replace(true);
            wait_for_signal().await;
            process::exit(KILLED);
        });
        Self(receiver)
    }

    /// Waits until the command is asked to end.
    pub(crate) async fn wait(mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            // Without a listener there is never a signal.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => (),
            _ = terminate.recv() => (),
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() {
    drop(tokio::signal::ctrl_c().await);
}
