/// Number of connections by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) opening: usize,
    pub(crate) idle: usize,
    pub(crate) leased: usize,
    /// Those not leased to the system.
    pub(crate) leased_to_tenants: usize,
    pub(crate) closing: usize,
    pub(crate) waiting: usize,
    pub(crate) tenant_pools: usize,
    /// Number of leases of tenants so far.
    pub(crate) granted: u64,
}

/// Counters of one tenant pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TenantCounts {
    pub(crate) idle: usize,
    pub(crate) leased: usize,
    pub(crate) waiting: usize,
    /// Number of leases so far.
    pub(crate) granted: u64,
    /// Maximum number of leases at a time.
    pub(crate) cap: usize,
}
