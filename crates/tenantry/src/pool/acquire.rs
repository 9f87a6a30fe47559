//! The way of an acquire: ask the scheduler, wait, prepare the session, begin again if it is dead.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use super::{
    Lease,
    credentials::{Credentials, Login},
    lease::is_of_hook,
    occupant::Occupant,
    scheduler::{TenantKey, Ticket},
    server::Server,
    session::{Purpose, leaves_session_usable},
    state::{Answer, Asked},
};
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER, own},
    event::{AcquireTimeout, Event, PoolError},
};

/// What an acquire has come to without waiting.
#[expect(
    clippy::large_enum_variant,
    reason = "it is on the stack of one acquire, and a box would cost more"
)]
enum Attempt {
    Lease(Lease),
    Wait(Waiting),
}

impl Server {
    /// Takes a connection that is bound to the occupant, ready for this.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the place in the queue, or the connection, goes back.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
    ) -> Answer {
        let meters = &self.observer.meters;
        // While the tenant is renamed or dropped, nobody is told what is true for a moment only.
        let free = self.separation.is_undisputed() && !self.gates.is_closed(occupant.tenant());
        let asked = match free {
            true => self.ask(occupant).map(Some),
            false => Ok(None),
        };
        let result = match asked {
            // The usual way: bound already, seen just now, nothing to wait for.
            Ok(Some(Attempt::Lease(lease))) if lease.is_ready(purpose) => {
                meters.waited(Duration::ZERO);
                self.outcomes.given(lease.how());
                return Ok(lease.open_span());
            }
            Ok(attempt) => {
                let began = Instant::now();
                let see_through = self.see_through(attempt, occupant, purpose);
                match timeout(self.options.acquire_timeout, see_through).await {
                    Ok(result) => {
                        if let Ok(lease) = &result {
                            meters.waited(began.elapsed());
                            self.outcomes.given(lease.how());
                        }
                        result.map(Lease::open_span)
                    }
                    Err(_) => Err(self.timed_out(occupant)),
                }
            }
            Err(error) => Err(error),
        };
        result.map_err(|error| {
            meters.failed(error.class());
            self.outcomes.not_given(error.kind());
            occupant.name(error)
        })
    }

    /// Waits for a connection and prepares it; begins again when it turns out to be dead. Without an
    /// attempt it asks first, as soon as that may be.
    async fn see_through(
        self: &Arc<Self>,
        mut attempt: Option<Attempt>,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
    ) -> Answer {
        let mut credentials = None;
        loop {
            let mut lease = match attempt {
                Some(Attempt::Lease(lease)) => lease,
                Some(Attempt::Wait(waiting)) => waiting.answer().await?,
                None => {
                    self.separation.pass().await?;
                    self.gates.pass(occupant.tenant()).await;
                    attempt = Some(self.ask(occupant)?);
                    continue;
                }
            };
            if !lease.is_current() {
                lease.retire();
                attempt = None;
                continue;
            }
            if !lease.is_logged_in() {
                let known = match (credentials.take(), &occupant.login) {
                    (Some(known), _) => known,
                    (None, None) => None,
                    (None, Some(login)) => {
                        // Nobody holds a place in the budget while somebody else's service answers.
                        drop(lease);
                        credentials = Some(self.credentials(login).await?);
                        attempt = Some(self.ask(occupant)?);
                        continue;
                    }
                };
                lease.log_in(known).await?;
            }
            let fresh = lease.backend_pid().is_none();
            let Err(error) = lease.prepare(purpose).await else {
                // It may have become known meanwhile that nothing is to be served.
                self.separation.pass().await?;
                return Ok(lease);
            };
            if is_of_hook(&error) {
                return Err(error.into());
            }
            if leaves_session_usable(&error) {
                if lease.is_retired() {
                    // The tenant pool may know the tenant by another handle's occupant.
                    occupant.retire();
                    return Err(occupant.refusal());
                }
                if let Some(own) = own(&error).filter(|own| own.kind() == ErrorKind::Config) {
                    return Err(own.again());
                }
                let refused = Error::new(ErrorKind::Database, "binding a session");
                return Err(refused.with_source(error));
            }
            if fresh && !lease.is_in_question() {
                let lost = Error::new(ErrorKind::Unavailable, "binding a session");
                return Err(lost.with_source(error));
            }
            // Nothing of the lease was sent, and the next connection may be better.
            self.observer.tell(Event::PoolError(PoolError::new(
                occupant.tenant(),
                "handing out a connection that was idle",
                &error,
            )));
            drop(lease);
            attempt = None;
        }
    }

    /// Asks for the credentials of a tenant, for as long as opening a connection may take.
    pub(super) async fn credentials(&self, login: &Login) -> Result<Option<Credentials>, Error> {
        let limit = self.options.connect_timeout;
        timeout(limit, login.credentials()).await.unwrap_or_else(|_| {
            let attempted = format!("waited {limit:?} for the credentials");
            Err(Error::new(ErrorKind::Unavailable, attempted))
        })
    }

    /// Asks the scheduler once.
    fn ask(self: &Arc<Self>, occupant: &Arc<Occupant>) -> Result<Attempt, Error> {
        if occupant.is_retired() {
            return Err(occupant.refusal());
        }
        self.start();
        let (asked, now) = self.change(|state, now| (state.ask(now, occupant), now));
        match asked {
            Asked::Granted { conn, how, session, occupant } => {
                let lease = Lease::new(Arc::clone(self), conn, how, occupant, session, now);
                Ok(Attempt::Lease(lease))
            }
            Asked::Waiting { key, ticket, answer } => {
                let server = Arc::clone(self);
                Ok(Attempt::Wait(Waiting { server, key, ticket, answer, answered: false }))
            }
            Asked::QueueFull => Err(occupant.name(self.queue_full())),
            Asked::Cut(error) => Err(error),
            Asked::Closed => {
                Err(occupant.name(Error::new(ErrorKind::Closed, "taking a connection")))
            }
        }
    }

    fn timed_out(&self, occupant: &Occupant) -> Error {
        let waited = self.options.acquire_timeout;
        let tenant_id = occupant.tenant().cloned();
        self.observer.tell(Event::AcquireTimeout(AcquireTimeout { tenant_id, waited }));
        Error::new(ErrorKind::Timeout, format!("waited {waited:?} for a connection"))
            .with_retry_after(RETRY_AFTER)
    }

    fn queue_full(&self) -> Error {
        let most = self.options.max_waiting_per_tenant;
        Error::new(ErrorKind::Overloaded, format!("{most} requests are waiting already"))
            .with_retry_after(RETRY_AFTER)
    }
}

/// A place in a queue. Dropping it leaves the queue.
struct Waiting {
    server: Arc<Server>,
    key: TenantKey,
    ticket: Ticket,
    answer: oneshot::Receiver<Answer>,
    answered: bool,
}

impl Waiting {
    async fn answer(mut self) -> Answer {
        let answer = (&mut self.answer).await;
        self.answered = true;
        answer.unwrap_or_else(|_| Err(Error::new(ErrorKind::Closed, "waiting for a connection")))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        // An answer that is already in the channel is dropped with it, and a lease in it goes back.
        let (key, ticket) = (self.key, self.ticket);
        let waiter = self.server.change(|state, now| state.scheduler.cancel(now, key, ticket));
        drop(waiter);
    }
}
