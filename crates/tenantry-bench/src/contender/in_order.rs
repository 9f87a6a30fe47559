use tokio::sync::Semaphore;

use super::Tenantry;
use crate::world::Tenant;

/// A tenant manager that admits requests in the order of arrival, as many at a time as there are connections: no
/// request waits inside, so the manager does not choose the order.
#[derive(Debug)]
pub(crate) struct InOrder {
    tenantry: Tenantry,
    turnstile: Semaphore,
}

impl InOrder {
    pub(crate) fn new(tenantry: Tenantry, connections: usize) -> Self {
        // Tokio's semaphore is fair: the longest waiter comes first.
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
