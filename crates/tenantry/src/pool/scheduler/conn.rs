use std::time::Duration;

use super::{TenantKey, Time};

/// A connection, identified by its place in the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnId(pub(super) u32);

impl ConnId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) state: State,
    pub(super) bound: Option<TenantKey>,
    /// `true` if it has never been bound.
    pub(super) fresh: bool,
    /// `true` if it has been bound to a dedicated tenant.
    pub(super) dedicated: bool,
    pub(super) opened: Time,
    pub(super) expires: Time,
    /// The dedicated tenant that it was opened for.
    pub(super) aim: Option<TenantKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Free,
    /// `slow` if requests that could use another connection no longer wait for it.
    Opening {
        since: Time,
        slow: bool,
    },
    Idle {
        since: Time,
        shelf: Shelf,
    },
    Leased {
        tenant: TenantKey,
        since: Time,
        charged: Charge,
    },
    Closing,
}

/// What a lease was charged when it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Charge {
    /// The hold time that is expected.
    pub(super) hold: Duration,
    /// What was added to the tenant's virtual time for it, at the weight of that time.
    pub(super) virtual_time: Duration,
}

/// The shelf of an idle connection, by who may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shelf {
    /// Never bound: any tenant.
    Fresh,
    /// No longer bound: any tenant except a dedicated one.
    Unbound,
    /// Bound to a pooled tenant.
    Pooled,
    /// Bound to a dedicated tenant.
    Dedicated,
}

impl Conn {
    pub(super) fn free() -> Self {
        Self {
            state: State::Free,
            bound: None,
            fresh: true,
            dedicated: false,
            opened: Time::ZERO,
            expires: Time::MAX,
            aim: None,
        }
    }
}

pub(super) fn conn_id(index: usize) -> ConnId {
    ConnId(u32::try_from(index).expect("the budget is checked to be small when it is configured"))
}
