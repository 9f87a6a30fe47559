//! Records what the user of a lease writes, so that later reads on replicas see it.

use std::sync::Arc;

use super::{server::Replicas, session::Purpose};
use crate::tenant::TenantId;

/// The user of a lease, who may write. Dropping it records the end.
#[derive(Debug)]
pub(in crate::pool) struct Writing {
    replicas: Arc<Replicas>,
    /// `None` for maintenance outside any tenant's schema, which can reach the data of all.
    tenant: Option<TenantId>,
    /// `true` if it may commit at any time before the end.
    is_open: bool,
}

impl Writing {
    pub(in crate::pool) fn begin(
        replicas: &Arc<Replicas>,
        tenant: Option<&TenantId>,
        purpose: Purpose,
    ) -> Self {
        let replicas = Arc::clone(replicas);
        let mut writing = Self { replicas, tenant: tenant.cloned(), is_open: false };
        if matches!(purpose, Purpose::Lease | Purpose::Transaction(_)) {
            writing.keep_open();
        }
        writing
    }

    /// Records that what it writes can be committed at any time before the end.
    pub(in crate::pool) fn keep_open(&mut self) {
        if !self.is_open
            && let Some(tenant) = &self.tenant
        {
            self.replicas.marks.lock().opened(tenant);
            self.is_open = true;
        }
    }

    /// Records that a maintenance lease serves another tenant, or none, from now on. `is_used` is
    /// `false` if nothing was run for the former one.
    pub(in crate::pool) fn pass_to(&mut self, tenant: Option<&TenantId>, is_used: bool) {
        if is_used {
            self.end();
        }
        self.tenant = tenant.cloned();
    }

    fn end(&mut self) {
        let mut marks = self.replicas.marks.lock();
        match &self.tenant {
            Some(tenant) if std::mem::take(&mut self.is_open) => marks.closed(tenant),
            Some(tenant) => marks.wrote(tenant),
            None => marks.wrote_for_all(),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.end();
    }
}
