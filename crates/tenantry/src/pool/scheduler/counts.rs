/// How many connections are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) opening: usize,
    pub(crate) idle: usize,
    pub(crate) leased: usize,
    /// Those of them that do not belong to the system.
    pub(crate) leased_to_tenants: usize,
    pub(crate) closing: usize,
    pub(crate) waiting: usize,
    pub(crate) tenant_pools: usize,
    /// Leases of tenants so far.
    pub(crate) granted: u64,
}

/// One tenant pool in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TenantCounts {
    pub(crate) idle: usize,
    pub(crate) leased: usize,
    pub(crate) waiting: usize,
    /// Leases so far.
    pub(crate) granted: u64,
}
