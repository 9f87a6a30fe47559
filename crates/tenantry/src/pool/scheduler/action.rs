use std::time::Duration;

use super::{ConnId, TenantKey, Ticket};
use crate::event::EvictReason;

/// How a granted connection has to be prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It is already bound to this tenant.
    Hit,
    /// It is bound to another tenant.
    Rebind,
    /// It was just opened, or is unbound.
    Bind,
}

/// The result of [`Scheduler::acquire`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquire {
    /// A connection is available.
    Granted(ConnId, How),
    /// Wait for an [`Action::Grant`] or [`Action::Refuse`].
    Waiting(Ticket),
    /// This tenant's queue is full.
    QueueFull,
    /// There is no connection, and connects are suspended.
    Cut,
    /// The pool is closed.
    Closed,
}

/// An action for the caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action<W> {
    /// Hand the connection to the waiter.
    Grant { waiter: W, conn: ConnId, tenant: TenantKey, how: How },
    /// Tell the waiter that it gets no connection.
    Refuse { waiter: W, why: Refusal },
    /// Open a connection, then call [`Scheduler::opened`] or [`Scheduler::open_failed`].
    Open(ConnId),
    /// Call [`Scheduler::review`] after this time: a request waits, and another connection may be
    /// worth closing by then.
    Review(Duration),
    /// Close the idle connection, then call [`Scheduler::closed`].
    Close(ConnId),
    /// The tenant pool is evicted, but its leases and waiters remain.
    Evicted { tenant: TenantKey, reason: EvictReason },
    /// The last of them is gone, and the key may be reused.
    Forgotten(TenantKey),
}

/// The reason why a waiter gets no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The connect failed.
    OpenFailed,
    /// Connects are suspended.
    Cut,
    /// The pool is closing.
    Closed,
    /// This process has no part of a budget that others share.
    Barred,
}

/// The result of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Released {
    /// The session can be reused.
    Usable,
    /// The connection has been closed.
    Closed,
}
