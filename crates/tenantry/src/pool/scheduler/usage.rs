//! How many connections are used and wanted, for a budget that is shared with other processes.

use super::{Class, Limits, Scheduler};

/// What the pool has used since the last look, and could use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Most leases at a time, without those of the system.
    pub(crate) peak: usize,
    /// Further connections that waiting requests could use.
    pub(crate) waiting: usize,
}

impl<W> Scheduler<W> {
    /// Returns the usage since the last look. Requests are counted as far as these limits allow.
    pub(crate) fn usage(&mut self, limits: &Limits) -> Usage {
        let tenants = self.tenants.iter().map(|(_, tenant)| tenant);
        let waiting = tenants
            .filter(|tenant| tenant.class != Class::System)
            .map(|tenant| tenant.demand(limits))
            .sum();
        Usage { peak: std::mem::replace(&mut self.most_tenant_leases, self.tenant_leases), waiting }
    }

    /// Returns the number of connections in any state.
    pub(crate) fn existing(&self) -> usize {
        self.conns.len() - self.free.len()
    }

    /// Returns `true` if a request waits that is not the library's own.
    pub(crate) fn tenants_wait(&self) -> bool {
        self.counts.waiting > self.wanted_by_system()
    }
}
