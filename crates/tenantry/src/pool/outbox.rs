//! Orders and events that result from a change of the pool's state.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{answer::Answer, breaker::Opener, scheduler::ConnId, session::Session};
use crate::{
    event::{Event, Observer},
    tenant::Ident,
};

/// Work to be done outside the lock.
pub(super) enum Order {
    Answer(oneshot::Sender<Answer>, Answer),
    /// Open a connection, in another database than the manager's if one is given.
    Open(ConnId, Opener, Option<Ident>),
    /// Check after this time whether connections can be opened again.
    ReviewSupply(Duration),
    /// Check after this time whether a dedicated tenant takes over a place.
    ReviewHomes(Duration),
    Close {
        conn: ConnId,
        session: Option<Session>,
    },
}

/// Orders and events that are collected under the lock, and carried out or delivered after it.
#[derive(Default)]
pub(super) struct Outbox {
    orders: Vec<Order>,
    /// Events of the scheduler's decisions.
    decisions: Vec<Event>,
    /// Events that follow those: a tenant pool that replaces another begins when that one has ended.
    others: Vec<Event>,
}

/// The content of an outbox, to be dealt with after the lock is released.
pub(super) struct Outgoing {
    pub(super) orders: Vec<Order>,
    /// `true` if the observer has events to deliver.
    pub(super) events: bool,
}

impl Outbox {
    pub(super) fn order(&mut self, order: Order) {
        self.orders.push(order);
    }

    /// Adds the event of a decision of the scheduler.
    pub(super) fn tell_decision(&mut self, event: Event) {
        self.decisions.push(event);
    }

    /// Adds an event that follows those of the scheduler's decisions.
    pub(super) fn tell(&mut self, event: Event) {
        self.others.push(event);
    }

    /// Takes everything out. The observer gets the events while the lock is still held, so that it
    /// delivers them in the order in which they happened.
    pub(super) fn empty(&mut self, observer: &Observer) -> Outgoing {
        let events = !(self.decisions.is_empty() && self.others.is_empty());
        let told = self.decisions.drain(..).chain(self.others.drain(..));
        told.for_each(|event| observer.queue(event));
        Outgoing { orders: std::mem::take(&mut self.orders), events }
    }
}
