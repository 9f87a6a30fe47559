//! Guards for places in the budget. Dropping one reports that its connection is gone, so a task that
//! is dropped midway leaks no place.

use std::{sync::Arc, time::Duration};

use super::{
    super::{
        breaker::Opener,
        scheduler::{ConnId, Released},
        session::Session,
        state::Condemned,
    },
    Server,
};
use crate::event::{Event, PoolError};

/// The place of a connection that is being opened; dropping it reports a failure.
#[derive(Debug)]
pub(crate) struct Opening {
    server: Option<Arc<Server>>,
    conn: ConnId,
    opener: Opener,
}

impl Opening {
    pub(crate) fn new(server: Arc<Server>, conn: ConnId, opener: Opener) -> Self {
        Self { server: Some(server), conn, opener }
    }

    pub(crate) fn opener(&self) -> Opener {
        self.opener
    }

    /// Hands the connection to the scheduler, or reports the failure.
    pub(crate) fn end(mut self, opened: sqlx::Result<Session>) {
        let Some(server) = self.server.take() else {
            return;
        };
        match opened {
            Ok(session) => {
                let (conn, expires) = (self.conn, server.expiry());
                server.change(|state, now| state.opened(now, conn, session, expires));
            }
            Err(error) => self.failed(&server, error),
        }
    }

    fn failed(&self, server: &Arc<Server>, error: sqlx::Error) {
        if self.opener == Opener::Partner {
            // No request waits for it. A connection that cannot be compared is served all the same.
            tracing::debug!(%error, "no second connection to compare the first one with");
        } else {
            let failed = PoolError::new(None, "opening a connection", &error);
            server.observer.meters.failed(failed.class);
            server.observer.tell(Event::PoolError(failed));
        }
        server.change(|state, now| state.open_failed(now, self.conn, Some(error)));
        server.expect_no_partner_of(1);
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            if server.is_homeless() {
                // The next connect would end here again, and so on.
                server.change(|state, now| state.condemn(now, Condemned::Homeless));
            }
            server.change(|state, now| state.open_failed(now, self.conn, None));
            server.expect_no_partner_of(1);
        }
    }
}

/// A connection that was just opened.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) opening: Opening,
    pub(crate) session: Session,
}

impl Newcomer {
    /// Hands it to the scheduler.
    pub(crate) fn end(self) {
        self.opening.end(Ok(self.session));
    }
}

/// The place of a lease that is being returned; dropping it reports that the connection is gone.
#[derive(Debug)]
pub(crate) struct Returning {
    server: Option<Arc<Server>>,
    conn: ConnId,
}

impl Returning {
    pub(crate) fn new(server: Arc<Server>, conn: ConnId) -> Self {
        Self { server: Some(server), conn }
    }

    pub(crate) fn give_back(mut self, session: Session) {
        if let Some(server) = self.server.take() {
            server.give_back(self.conn, session);
        }
    }

    /// Leaves the place to a lease, which has another connection now.
    pub(crate) fn keep(mut self) {
        self.server = None;
    }

    pub(crate) async fn close(self, mut session: Session) {
        if let Some(server) = &self.server {
            server.inquire(&mut session).await;
            let linger = server.linger(&session);
            session.disconnect(linger).await;
        }
    }

    /// Closes a connection whose server process notices only after a while, and keeps its place in
    /// the budget until then.
    pub(crate) async fn close_and_wait(self, session: Session, wait: Duration) {
        let linger = self.server.as_ref().map(|server| server.linger(&session));
        session.disconnect(wait + linger.unwrap_or_default()).await;
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.change(|state, now| state.scheduler.release(now, self.conn, Released::Closed));
        }
    }
}

/// A place in the budget of a pool that the pool itself does not use until it is dropped.
#[derive(Debug)]
#[must_use = "the place is free when this is dropped"]
pub(crate) struct Place {
    _returning: Returning,
}

impl From<Returning> for Place {
    fn from(returning: Returning) -> Self {
        Self { _returning: returning }
    }
}

/// The place of an idle connection that is being closed; dropping it reports that it is gone.
pub(crate) struct Closing {
    server: Arc<Server>,
    conn: ConnId,
}

impl Closing {
    pub(crate) fn new(server: Arc<Server>, conn: ConnId) -> Self {
        Self { server, conn }
    }

    pub(crate) async fn close(self, session: Option<Session>) {
        if let Some(session) = session {
            let linger = self.server.linger(&session);
            session.disconnect(linger).await;
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.server.change(|state, now| state.scheduler.closed(now, self.conn));
    }
}
