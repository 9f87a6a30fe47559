//! Wakes the streams of a tenant when there is something new. One connection listens for the whole process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::postgres::PgListener;
use tenantry::TenantId;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// The channel of the announcements, one for all tenants. The payload is only the tenant's id:
/// anyone who can send one only wakes streams, which then read through their own tenant's handle.
pub(crate) const CHANNEL: &str = "messages";

/// The delay before reconnecting a lost connection.
const PAUSE: Duration = Duration::from_secs(1);

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The streams that wait for each tenant.
#[derive(Debug, Clone, Default)]
pub(crate) struct News(Arc<Mutex<HashMap<TenantId, watch::Sender<()>>>>);

impl News {
    /// Returns a receiver that changes when there is something new for a tenant.
    pub(crate) fn of(&self, tenant: &TenantId) -> watch::Receiver<()> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(tenant.clone()).or_default().subscribe()
    }

    /// Listens until `end`.
    pub(crate) async fn listen(self, url: String, end: impl Future<Output = ()>) {
        tokio::select! {
            () = end => {}
            () = self.listen_on(&url) => {}
        }
    }

    async fn listen_on(&self, url: &str) {
        loop {
            match timeout(PATIENCE, connect(url)).await {
                Ok(Ok(listener)) => self.hear(listener).await,
                Ok(Err(error)) => tracing::warn!(%error, "cannot listen for new messages"),
                Err(_) => tracing::warn!("cannot listen for new messages: connecting timed out"),
            }
            sleep(PAUSE).await;
        }
    }

    /// Passes on announcements until the connection is lost.
    async fn hear(&self, mut listener: PgListener) {
        // Announcements made while nothing listened are lost, so every stream checks.
        self.wake(None);
        while let Ok(Some(news)) = listener.try_recv().await {
            if let Ok(tenant) = TenantId::parse(news.payload()) {
                self.wake(Some(&tenant));
            }
        }
        tracing::warn!("lost the connection that listens for new messages");
    }

    /// Wakes the streams of a tenant, or all of them, and forgets tenants that nothing waits for.
    fn wake(&self, tenant: Option<&TenantId>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|other, streams| {
            if tenant.is_none_or(|tenant| tenant == other) {
                let _ = streams.send(());
            }
            !streams.is_closed()
        });
    }
}

async fn connect(url: &str) -> sqlx::Result<PgListener> {
    let mut listener = PgListener::connect(url).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
