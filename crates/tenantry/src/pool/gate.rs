//! Gates: requests of a tenant wait while it is renamed or dropped.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::tenant::TenantId;

/// The gates of all tenants. They are open unless a guard keeps them closed.
#[derive(Debug, Default)]
pub(super) struct Gates {
    /// Number of closed gates, so that the lock is not needed while it is zero.
    closed: AtomicUsize,
    /// Number of guards per tenant.
    by: Mutex<HashMap<TenantId, usize>>,
    opened: Notify,
}

impl Gates {
    /// Closes the gate of a tenant until the guard is dropped.
    pub(super) fn close(self: &Arc<Self>, tenant: &TenantId) -> GateGuard {
        let mut by = self.by.lock();
        *by.entry(tenant.clone()).or_default() += 1;
        self.closed.store(by.len(), Ordering::Release);
        GateGuard { gates: Arc::clone(self), tenant: tenant.clone() }
    }

    pub(super) fn is_closed(&self, tenant: Option<&TenantId>) -> bool {
        let Some(tenant) = tenant else { return false };
        self.closed.load(Ordering::Acquire) > 0 && self.by.lock().contains_key(tenant)
    }

    /// Waits until the gate is open.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(super) async fn pass(&self, tenant: Option<&TenantId>) {
        loop {
            let opened = self.opened.notified();
            if !self.is_closed(tenant) {
                return;
            }
            opened.await;
        }
    }
}

/// Keeps the gate of a tenant closed.
#[derive(Debug)]
#[must_use = "the gate opens when this is dropped"]
pub(crate) struct GateGuard {
    gates: Arc<Gates>,
    tenant: TenantId,
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        let mut by = self.gates.by.lock();
        if let Entry::Occupied(mut closers) = by.entry(self.tenant.clone()) {
            *closers.get_mut() -= 1;
            if *closers.get() == 0 {
                closers.remove();
            }
        }
        self.gates.closed.store(by.len(), Ordering::Release);
        drop(by);
        self.gates.opened.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn opens_when_the_last_guard_is_gone_and_holds_nobody_else() {
        let gates = Arc::new(Gates::default());
        let (acme, globex) = (TenantId::parse("acme").unwrap(), TenantId::parse("globex").unwrap());
        let (one, other) = (gates.close(&acme), gates.close(&acme));
        gates.pass(Some(&globex)).await;
        gates.pass(None).await;
        let mut waiting = Box::pin(gates.pass(Some(&acme)));
        assert!(timeout(Duration::from_millis(1), &mut waiting).await.is_err());
        drop(one);
        assert!(timeout(Duration::from_millis(1), &mut waiting).await.is_err());
        drop(other);
        waiting.await;
        assert!(!gates.is_closed(Some(&acme)));
    }
}
