use tokio::sync::Semaphore;

use super::Tenantry;
use crate::world::Tenant;

/// A tenant manager whose requests are let in one after the other, in the order in which they come, as
/// many as there are connections: nobody waits inside, so the manager has no say in the order.
#[derive(Debug)]
pub(crate) struct InOrder {
    tenantry: Tenantry,
    turnstile: Semaphore,
}

impl InOrder {
    pub(crate) fn new(tenantry: Tenantry, connections: usize) -> Self {
        // Tokio's semaphore is fair: whoever has waited longest comes first.
        Self { tenantry, turnstile: Semaphore::new(connections) }
    }

    pub(super) async fn name_of_item(&self, tenant: &Tenant, item: i32) -> sqlx::Result<String> {
        let _place = self.turnstile.acquire().await.expect("nobody closes it");
        self.tenantry.name_of_item(tenant, item).await
    }

    pub(super) async fn close(&self) {
        self.tenantry.close().await;
    }
}
