//! The supply of connections: what the results of connects mean for the next ones.

use std::{sync::Arc, time::Duration};

use super::{
    super::{
        breaker::Opener,
        outbox::Order,
        scheduler::{ConnId, Supply, Time},
        session::Session,
    },
    Condemned, State,
};
use crate::{
    error::{ErrorClass, class_of},
    event::{BreakerChange, BreakerState, Event},
};

/// How long no connection is opened when the server is out of slots but existing connections work;
/// doubled each time that there is still no slot.
pub(super) const SHORTAGE: Duration = Duration::from_millis(200);

/// The longest such pause.
const LONGEST_SHORTAGE: Duration = Duration::from_secs(2);

/// How long an answer proves that the server is up.
const RECENTLY: Duration = Duration::from_secs(1);

impl State {
    /// Takes a connection that was opened.
    pub(crate) fn opened(&mut self, now: Time, conn: ConnId, session: Session, expires: Time) {
        self.open_error = None;
        let probe = self.probing.take_if(|probe| *probe == conn).is_some();
        self.partner.take_if(|partner| *partner == conn);
        self.note_success(now, now);
        self.held[conn.index()] = session.held.clone();
        self.put_session(conn, session);
        self.scheduler.opened(now, conn, expires);
        if probe && self.scheduler.supply() == Supply::Short {
            self.shortage = SHORTAGE;
            match self.scheduler.is_short() {
                // There was a slot for one; the other waiters must not all try at once.
                true => self.outbox.order(Order::ReviewSupply(Duration::ZERO)),
                false => self.set_supply(now, Supply::Normal),
            }
        }
    }

    /// Records that a connect failed, and the error if it is known.
    pub(crate) fn open_failed(&mut self, now: Time, conn: ConnId, error: Option<sqlx::Error>) {
        if self.partner.take_if(|partner| *partner == conn).is_some() {
            return self.scheduler.open_given_up(now, conn);
        }
        let probe = self.probing.take_if(|probe| *probe == conn).is_some();
        let opener = if probe { Opener::Probe } else { Opener::Need };
        let class = error.as_ref().map(class_of);
        self.open_error = error.map(Arc::new);
        if self.is_served(now, class) {
            // The server is up, and so are some of our connections to it, which will be returned.
            self.breaker.succeeded(now).then(|| self.tell_of_breaker(now));
            self.run_short(now, opener);
        } else if let Some(class) = class
            && self.breaker.failed(now, opener, class.is_transient())
        {
            self.set_supply(now, Supply::Cut);
            self.outbox.order(Order::ReviewSupply(self.breaker.pause()));
            self.tell_of_breaker(now);
        } else if probe && self.scheduler.supply() == Supply::Short {
            match class {
                // It is not full but down: waiters get the error instead of waiting for slots.
                Some(class) if class != ErrorClass::TooManyConnections => {
                    self.set_supply(now, Supply::Normal);
                }
                _ => self.run_short(now, opener),
            }
        }
        self.scheduler.open_failed(now, conn);
    }

    /// Suspends connects for a while, because the server is out of slots; then tries one.
    fn run_short(&mut self, now: Time, opener: Opener) {
        self.shortage = match (opener, self.scheduler.supply()) {
            (Opener::Probe, _) => (self.shortage * 2).min(LONGEST_SHORTAGE),
            // A retry is already scheduled.
            (_, Supply::Short) => return,
            _ => SHORTAGE,
        };
        self.set_supply(now, Supply::Short);
        self.outbox.order(Order::ReviewSupply(self.shortage));
    }

    /// Opens a connection as a partner for a comparison, unless one is already being opened.
    /// Returns `true` if there will be one.
    pub(crate) fn open_partner(&mut self, now: Time) -> bool {
        // The caller itself counts as being opened.
        if self.scheduler.counts().opening > 1 {
            return true;
        }
        self.partner = self.scheduler.open_probe(now);
        self.partner.is_some()
    }

    /// Refuses all waiters, and opens no further connection.
    pub(crate) fn condemn(&mut self, now: Time, why: Condemned) {
        self.condemned.get_or_insert(why);
        self.scheduler.set_supply(now, Supply::Cut);
    }

    fn set_supply(&mut self, now: Time, supply: Supply) {
        if self.condemned.is_none() {
            self.scheduler.set_supply(now, supply);
        }
    }

    /// Returns `true` if requests can be served although a connect failed: the server has reported
    /// that it is out of slots, or has just answered on another connection.
    fn is_served(&self, now: Time, class: Option<ErrorClass>) -> bool {
        let answered = self.answered_at.is_some_and(|at| now.saturating_sub(at) < RECENTLY);
        let full = class == Some(ErrorClass::TooManyConnections);
        self.scheduler.alive() > 0 && (full || answered)
    }

    pub(crate) fn has_answered(&self) -> bool {
        self.answered_at.is_some()
    }

    /// Records that the server has answered, and when.
    pub(super) fn note_success(&mut self, now: Time, at: Time) {
        self.answered_at = self.answered_at.max(Some(at));
        if self.breaker.succeeded(at) {
            self.set_supply(now, Supply::Normal);
            self.tell_of_breaker(now);
        }
    }

    /// Resumes connects after a shortage, or opens a connection that probes the server.
    pub(crate) fn review_supply(&mut self, now: Time) {
        let short = self.scheduler.supply() == Supply::Short;
        if short && !self.scheduler.is_short() {
            return self.set_supply(now, Supply::Normal);
        }
        if self.probing.is_some() || !(short || self.breaker.begin_probe(now)) {
            return;
        }
        self.probing = self.scheduler.open_probe(now);
        if short {
            // If every place is taken, this runs again when one is free.
            if self.probing.is_none() {
                self.set_supply(now, Supply::Normal);
            }
        } else if self.probing.is_some() {
            self.tell_of_breaker(now);
        } else if !self.scheduler.is_closed() {
            // Every place is taken by a connection that has not been returned yet.
            let pause = self.breaker.postpone_probe(now);
            self.outbox.order(Order::ReviewSupply(pause));
        }
    }

    fn tell_of_breaker(&mut self, now: Time) {
        let state = self.breaker.state();
        let open = state == BreakerState::Open;
        let retry_after = open.then(|| self.breaker.retry_after(now));
        let failed_probes = self.breaker.failed_probes();
        self.outbox.tell(Event::Breaker(BreakerChange {
            state,
            retry_after,
            failed_probes,
            server: None,
        }));
    }
}
