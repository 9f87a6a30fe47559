use std::time::Duration;

use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Lookup;
use crate::pool::{Admission, Connector};

/// Delay before listening is retried.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the server may take to end the session behind the closed connection.
const PARTING: Duration = Duration::from_millis(100);

/// Creates a task that forgets tenants as their changes are announced, until the shutdown, which
/// closes its connection. `None` if the catalog announces no changes, or another task already
/// listens.
///
/// Announcements are lost while no task listens, so everything is in doubt whenever the connection
/// is lost, and again when it is re-established.
pub(crate) fn listen(
    connector: &Connector,
    lookup: &Lookup,
    admission: Admission,
    shutdown: &CancellationToken,
) -> Option<impl Future<Output = ()> + Send + use<>> {
    let channel = lookup.channel()?;
    if !lookup.begin_to_listen() {
        return None;
    }
    let mut listening = Listening {
        lookup: lookup.clone(),
        channel: channel.to_owned(),
        admission,
        has_heard: false,
    };
    let (connector, shutdown) = (connector.clone(), shutdown.clone());
    Some(async move {
        let one = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let one = one.connect_lazy_with(connector.options().clone());
        shutdown.run_until_cancelled(listening.go_on(&connector, &one)).await;
        // A dropped listener returns its connection in a separate task; this waits for it.
        one.close().await;
        sleep(PARTING).await;
    })
}

/// An active listener. When it is dropped, another one may start: its runtime may have ended.
struct Listening {
    lookup: Lookup,
    channel: String,
    admission: Admission,
    has_heard: bool,
}

impl Listening {
    async fn go_on(&mut self, connector: &Connector, one: &PgPool) {
        loop {
            match self.once(connector, one).await {
                Ok(()) => tracing::warn!(
                    channel = self.channel,
                    "lost the connection that listens for changes of the catalog"
                ),
                Err(error) => {
                    tracing::warn!(error = %error, channel = self.channel, "cannot listen for changes of the catalog");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Listens until the connection is lost.
    async fn once(&mut self, connector: &Connector, one: &PgPool) -> sqlx::Result<()> {
        self.admission.granted().await;
        one.set_connect_options(connector.primary().await?);
        let mut listener = PgListener::connect_with(one).await?;
        // The gap must be known before there is another connection.
        listener.eager_reconnect(false);
        listener.listen(&self.channel).await?;
        self.has_heard = true;
        self.lookup.doubt_all();
        let lost = loop {
            match listener.try_recv().await {
                Ok(Some(change)) if change.payload().is_empty() => self.lookup.forget_all(),
                Ok(Some(change)) => self.lookup.forget(change.payload()),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.lookup.doubt_all();
        lost
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.has_heard {
            self.lookup.doubt_all();
        }
        self.lookup.end_to_listen();
    }
}
