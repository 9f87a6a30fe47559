use std::time::Duration;

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Lookup;

/// How long to wait before listening is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Forgets tenants as their changes are announced, until it is told to shut down. No connection is
/// left then.
///
/// Announcements that were made while nobody listened are lost, so everything is forgotten whenever
/// listening begins anew.
pub(crate) async fn listen(
    options: PgConnectOptions,
    channel: String,
    lookup: Lookup,
    shutdown: CancellationToken,
) {
    let one = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let one = one.connect_lazy_with(options);
    let listening = async {
        loop {
            if let Err(error) = listen_once(&one, &channel, &lookup).await {
                tracing::warn!(error = %error, channel, "lost the announcements of the catalog");
            }
            sleep(PAUSE).await;
        }
    };
    shutdown.run_until_cancelled(listening).await;
    // A listener that is dropped hands its connection back in a task of its own; this waits for it.
    one.close().await;
}

async fn listen_once(one: &PgPool, channel: &str, lookup: &Lookup) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(one).await?;
    listener.listen(channel).await?;
    lookup.forget_all();
    loop {
        match listener.try_recv().await? {
            Some(change) if !change.payload().is_empty() => {
                lookup.forget(change.payload()).await;
            }
            // Everything was announced, or the connection was lost and is there again.
            _ => lookup.forget_all(),
        }
    }
}
