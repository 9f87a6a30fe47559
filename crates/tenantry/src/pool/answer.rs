//! Answers to requests for a connection.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{
    occupant::Occupant,
    scheduler::{ConnId, How, TenantKey, Ticket, Time},
    session::Session,
};
use crate::error::Error;

/// Handle to a waiting request.
pub(super) struct Waiter {
    pub(super) occupant: Arc<Occupant>,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The answer to a waiting request.
pub(super) type Answer = Result<Grant, Error>;

/// A connection that was taken for an occupant. Its recipient has to return it.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) conn: ConnId,
    pub(super) how: How,
    pub(super) session: Session,
    pub(super) occupant: Arc<Occupant>,
    pub(super) since: Time,
}

/// The immediate result of an acquire.
#[expect(
    clippy::large_enum_variant,
    reason = "it is on the stack of one acquire, and a box would cost more"
)]
pub(super) enum Asked {
    Granted(Grant),
    Waiting(QueuePlace),
    /// So many requests of the occupant already wait.
    QueueFull(usize),
    Cut(Error),
    Closed,
}

/// A place in the queue of an occupant.
#[derive(Debug)]
pub(super) struct QueuePlace {
    pub(super) key: TenantKey,
    pub(super) ticket: Ticket,
    pub(super) answer: oneshot::Receiver<Answer>,
}
