use super::super::{fleeting::Begin, occupant::Occupant, pin::Pin};

/// The purpose of a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be idle and ready for the next request.
    Idle,
    /// One statement of a handle, which may be retried if a kept statement no longer matched.
    Statement,
    /// The same, of a handle for reading: it changes nothing.
    Read,
    /// A transaction, in which nothing can be retried. How it begins matters only where a lease is
    /// one transaction.
    Transaction(Begin),
    /// The same, of a handle for reading: it changes nothing, and cannot be made to.
    Reading(Begin),
    /// To be handed out for an indefinite time.
    Lease,
    /// The library's own work on one schema after the other.
    Upkeep,
}

impl Purpose {
    /// Returns `true` if statements prepared for other tenants have to be dropped, because an error
    /// caused by one could not be repaired.
    pub(super) fn wants_own_statements(self) -> bool {
        matches!(self, Self::Transaction(_) | Self::Reading(_) | Self::Lease)
    }

    /// Returns `true` if its user may change data of the tenant.
    pub(in crate::pool) fn may_write(self) -> bool {
        match self {
            // A transaction that begins as a read-only one can be made writable.
            Self::Statement | Self::Transaction(_) | Self::Lease | Self::Upkeep => true,
            Self::Idle | Self::Read | Self::Reading(_) => false,
        }
    }

    pub(super) fn pin(self, occupant: &Occupant) -> Pin {
        match self {
            _ if occupant.pinned().is_none() => Pin::No,
            Self::Idle | Self::Upkeep => Pin::No,
            _ if occupant.is_always_pinned() => Pin::AfterDrop,
            Self::Lease => Pin::Yes,
            Self::Statement | Self::Read | Self::Transaction(_) | Self::Reading(_) => Pin::No,
        }
    }
}
