use super::{ConnId, TenantKey, Ticket};
use crate::event::EvictReason;

/// How the connection that was granted has to be prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It is bound to this tenant already.
    Hit,
    /// It carries another tenant.
    Rebind,
    /// It was opened just now, or nobody is bound to it.
    Bind,
}

/// The answer to [`Scheduler::acquire`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquire {
    /// Here is a connection.
    Granted(ConnId, How),
    /// Wait for an [`Action::Grant`] or [`Action::Refuse`].
    Waiting(Ticket),
    /// The queue of this tenant is full.
    QueueFull,
    /// There is no connection, and none is opened at present.
    Cut,
    /// The pool is closed.
    Closed,
}

/// What the caller has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action<W> {
    /// Hand the connection to the waiter.
    Grant { waiter: W, conn: ConnId, tenant: TenantKey, how: How },
    /// Tell the waiter that there will be no connection.
    Refuse { waiter: W, why: Refusal },
    /// Open a connection, then call [`Scheduler::opened`] or [`Scheduler::open_failed`].
    Open(ConnId),
    /// Close the idle connection, then call [`Scheduler::closed`].
    Close(ConnId),
    /// The tenant pool is forgotten, but for the leases and waiters that it has.
    Evicted { tenant: TenantKey, reason: EvictReason },
    /// The last of those has gone, and the key may be used again.
    Forgotten(TenantKey),
}

/// Why a waiter gets no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The connection that was to be opened could not be.
    OpenFailed,
    /// No connection is opened at present.
    Cut,
    /// The pool is closing.
    Closed,
}

/// What became of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Released {
    /// The session can serve the next.
    Usable,
    /// The connection has been closed.
    Closed,
}
