use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::sleep;

use super::Lookup;

/// How long to wait before listening is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Forgets tenants as their changes are announced. Ends only by being dropped.
///
/// Announcements that were made while nobody listened are lost, so everything is forgotten whenever
/// listening begins anew.
pub(crate) async fn listen(options: PgConnectOptions, channel: String, lookup: Lookup) {
    loop {
        if let Err(error) = listen_once(&options, &channel, &lookup).await {
            tracing::warn!(error = %error, channel, "lost the announcements of the catalog");
        }
        sleep(PAUSE).await;
    }
}

async fn listen_once(
    options: &PgConnectOptions,
    channel: &str,
    lookup: &Lookup,
) -> sqlx::Result<()> {
    let one = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let mut listener = PgListener::connect_with(&one.connect_lazy_with(options.clone())).await?;
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
