//! The steps of an acquire: ask the scheduler, wait, prepare the session, start over if it is dead.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    answer::{Asked, QueuePlace},
    hook::is_of_hook,
    lease::Lease,
    occupant::Occupant,
    server::Server,
    session::Purpose,
    session_error::leaves_session_usable,
};
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER, own},
    event::{AcquireTimeout, Event, PoolError},
    tenant::TenantId,
};

/// Result of an acquire that did not wait.
#[expect(
    clippy::large_enum_variant,
    reason = "it is on the stack of one acquire, and a box would cost more"
)]
enum Attempt {
    Lease(Lease),
    Wait(Waiting),
}

/// The stage at which an acquire waits.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// For the end of a rename or drop of the tenant, or for the check whether sessions are kept.
    Gate,
    Queue,
    Credentials,
    /// For the server's response on its connection.
    Session,
}

/// How long an acquire waits before the pool checks whether its task waits for itself. Rare enough
/// to be free under load.
const NOTICE_AFTER: Duration = Duration::from_millis(500);

impl Server {
    /// Acquires a connection that is bound to the occupant and ready for this purpose.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the place in the queue is given up, or the connection returned.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
    ) -> impl Future<Output = Result<Lease, Error>> + Send {
        self.acquire_within(self.options.acquire_timeout, occupant, purpose)
    }

    /// Acquires an unbound connection for maintenance, which serves the schemas it is told to.
    pub(crate) async fn acquire_for_upkeep(self: &Arc<Self>) -> Result<Lease, Error> {
        self.acquire(&self.upkeep, Purpose::Upkeep).await
    }

    /// Acquires a connection like [`acquire`](Self::acquire), waiting at most `limit`.
    pub(crate) async fn acquire_within(
        self: &Arc<Self>,
        limit: Duration,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
    ) -> Result<Lease, Error> {
        let meters = &self.observer.meters;
        // While the tenant is being renamed or dropped, intermediate states must not be reported.
        let free = self.separation.is_undisputed() && !self.gates.is_closed(occupant.tenant());
        let asked = match free {
            _ if self.options.refuse_nested_acquires => {
                let ask = || if free { self.ask(occupant).map(Some) } else { Ok(None) };
                self.refuse_nested(occupant).and_then(|()| ask())
            }
            true => self.ask(occupant).map(Some),
            false => Ok(None),
        };
        let result = match asked {
            // The fast path: already bound, recently seen alive, nothing to wait for.
            Ok(Some(Attempt::Lease(lease))) if lease.is_ready(purpose) => {
                meters.waited(Duration::ZERO);
                self.outcomes.given(lease.how());
                return Ok(lease.open_span());
            }
            Ok(attempt) => {
                let began = Instant::now();
                let mut stage = Stage::Queue;
                let notice_after = NOTICE_AFTER.min(limit / 2);
                let ended = {
                    let through = self.see_through(attempt, occupant, purpose, &mut stage);
                    let mut through = pin!(through);
                    match timeout(notice_after, through.as_mut()).await {
                        Err(_) => {
                            self.notice_nested(occupant);
                            timeout(limit - notice_after, through).await
                        }
                        ended => ended,
                    }
                };
                match ended {
                    Ok(result) => {
                        if let Ok(lease) = &result {
                            meters.waited(began.elapsed());
                            self.outcomes.given(lease.how());
                        }
                        result.map(Lease::open_span)
                    }
                    Err(_) => Err(self.timed_out(occupant, limit, stage)),
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

    /// Waits for a connection and prepares it; starts over if it turns out to be dead. Without an
    /// attempt, it asks the scheduler as soon as that is allowed.
    async fn see_through(
        self: &Arc<Self>,
        mut attempt: Option<Attempt>,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
        stage: &mut Stage,
    ) -> Result<Lease, Error> {
        let mut credentials = None;
        loop {
            let mut lease = match attempt {
                Some(Attempt::Lease(lease)) => lease,
                Some(Attempt::Wait(waiting)) => {
                    *stage = Stage::Queue;
                    waiting.answer().await?
                }
                None => {
                    *stage = Stage::Gate;
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
                        // Do not hold a place in the budget while an external service answers.
                        drop(lease);
                        *stage = Stage::Credentials;
                        credentials = Some(self.credentials(login).await?);
                        attempt = Some(self.ask(occupant)?);
                        continue;
                    }
                };
                lease.log_in(known).await?;
            }
            *stage = Stage::Session;
            match self.fit_out(lease, occupant, purpose).await? {
                Some(lease) => return Ok(lease),
                None => attempt = None,
            }
        }
    }

    /// Prepares the session of a lease; `None` if its connection turns out to be dead.
    async fn fit_out(
        &self,
        mut lease: Lease,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
    ) -> Result<Option<Lease>, Error> {
        let fresh = lease.backend_pid().is_none();
        let Err(error) = lease.prepare(purpose).await else {
            // Meanwhile, a check may have decided that nothing is served.
            self.separation.pass().await?;
            return Ok(Some(lease));
        };
        if is_of_hook(&error) {
            return Err(error.into());
        }
        if leaves_session_usable(&error) {
            if lease.is_retired() {
                // The tenant pool may know the tenant by the occupant of another handle.
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
        // No statement of the lease was sent, and the next connection may be better.
        self.observer.tell(Event::PoolError(PoolError::new(
            occupant.tenant(),
            "handing out a connection that was idle",
            &error,
        )));
        Ok(None)
    }

    /// Acquires an idle connection that is, or can be, bound to the occupant; `None` if there is
    /// none. Never opens a connection or waits in a queue.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the connection is returned.
    pub(crate) async fn try_acquire(
        self: &Arc<Self>,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
    ) -> Result<Option<Lease>, Error> {
        let limit = self.options.acquire_timeout;
        let taken = timeout(limit, self.take_idle_for(occupant, purpose)).await;
        let taken = taken.unwrap_or_else(|_| Err(self.timed_out(occupant, limit, Stage::Session)));
        match taken {
            Ok(lease) => Ok(lease.map(|lease| {
                self.outcomes.given(lease.how());
                lease.open_span()
            })),
            Err(error) => {
                self.observer.meters.failed(error.class());
                self.outcomes.not_given(error.kind());
                Err(occupant.name(error))
            }
        }
    }

    async fn take_idle_for(
        self: &Arc<Self>,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
    ) -> Result<Option<Lease>, Error> {
        if self.options.refuse_nested_acquires {
            self.refuse_nested(occupant)?;
        }
        if self.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "taking a connection"));
        }
        if occupant.is_retired() {
            return Err(occupant.refusal());
        }
        if !self.separation.is_undisputed() || self.gates.is_closed(occupant.tenant()) {
            return Ok(None);
        }
        self.start();
        loop {
            let Some(grant) = self.change(|state, now| state.ask_for_idle(now, occupant)) else {
                return Ok(None);
            };
            let lease = Lease::new(Arc::clone(self), grant);
            if !lease.is_current() {
                lease.retire();
            } else if !lease.is_logged_in() {
                // Logging in would open another connection.
                return Ok(None);
            } else if let Some(lease) = self.fit_out(lease, occupant, purpose).await? {
                return Ok(Some(lease));
            }
        }
    }

    /// Asks the scheduler once.
    fn ask(self: &Arc<Self>, occupant: &Arc<Occupant>) -> Result<Attempt, Error> {
        if occupant.is_retired() {
            return Err(occupant.refusal());
        }
        self.start();
        match self.change(|state, now| state.ask(now, occupant)) {
            Asked::Granted(grant) => Ok(Attempt::Lease(Lease::new(Arc::clone(self), grant))),
            Asked::Waiting(place) => {
                Ok(Attempt::Wait(Waiting { server: Arc::clone(self), place, answered: false }))
            }
            Asked::QueueFull => Err(occupant.name(self.queue_full())),
            Asked::Cut(error) => Err(error),
            Asked::Closed => {
                Err(occupant.name(Error::new(ErrorKind::Closed, "taking a connection")))
            }
        }
    }

    /// Refuses the acquire of a task that already holds a connection.
    fn refuse_nested(&self, occupant: &Occupant) -> Result<(), Error> {
        match self.nested(occupant) {
            None => Ok(()),
            Some(nested) => {
                let attempted = format!(
                    "{nested}; give it back first, or run the statement on it. This program refuses \
                     nested acquires, because they are deadlocks as soon as the pool is used up \
                     (PoolOptions::refuse_nested_acquires)"
                );
                Err(Error::new(ErrorKind::NestedAcquire, attempted))
            }
        }
    }

    /// Logs, once per tenant, that a task waits for a connection while it holds one.
    fn notice_nested(&self, occupant: &Occupant) {
        let tenant = occupant.tenant().map(TenantId::as_str);
        if let Some(nested) = self.nested(occupant)
            && self.is_news(&("nested acquire", tenant))
        {
            tracing::warn!(
                target: "tenantry::pool",
                tenant,
                "an acquire waits, and {nested}: if no other becomes free, it waits for itself. Run the \
                 statement on the connection or transaction that the task has"
            );
        }
    }

    /// Describes the connection that the current task holds, unless the acquire is the library's
    /// own.
    fn nested(&self, occupant: &Occupant) -> Option<String> {
        if occupant.may_nest() {
            return None;
        }
        let (holds, for_long) = self.held_here()?;
        let whose = holds.as_ref().and_then(|holds| holds.tenant());
        let whose = whose.map_or("the shared schema".into(), |tenant| format!("tenant {tenant}"));
        Some(format!("this task has had a connection of {whose} in hand for {for_long:.1?}"))
    }

    /// Creates the error of a timed-out acquire, and emits its event with the tenant and the cause,
    /// because sqlx's error cannot carry them.
    fn timed_out(&self, occupant: &Occupant, waited: Duration, stage: Stage) -> Error {
        let reason = match stage {
            Stage::Gate => {
                "the tenant is being renamed or dropped, or a new connection examined".into()
            }
            Stage::Queue => {
                let mut reason = self.occupancy(occupant);
                if let Some(nested) = self.nested(occupant) {
                    reason += &format!("; {nested} and may wait for itself");
                }
                reason
            }
            Stage::Credentials => "its credentials did not come".into(),
            Stage::Session => "the server did not answer on the connection".into(),
        };
        let attempted = format!("waited {waited:?} for a connection: {reason}");
        let tenant_id = occupant.tenant().cloned();
        self.observer.tell(Event::AcquireTimeout(AcquireTimeout { tenant_id, waited, reason }));
        Error::new(ErrorKind::Timeout, attempted).with_retry_after(RETRY_AFTER)
    }

    fn queue_full(&self) -> Error {
        let most = self.options.max_waiting_per_tenant;
        Error::new(ErrorKind::Overloaded, format!("{most} requests are waiting already"))
            .with_retry_after(RETRY_AFTER)
    }
}

/// A request in a queue. Dropping it leaves the queue.
struct Waiting {
    server: Arc<Server>,
    place: QueuePlace,
    answered: bool,
}

impl Waiting {
    async fn answer(mut self) -> Result<Lease, Error> {
        let answer = (&mut self.place.answer).await;
        self.answered = true;
        match answer {
            Ok(answer) => answer.map(|grant| Lease::new(Arc::clone(&self.server), grant)),
            Err(_) => Err(Error::new(ErrorKind::Closed, "waiting for a connection")),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let QueuePlace { key, ticket, answer } = &mut self.place;
        let waiter = self.server.change(|state, now| state.scheduler.cancel(now, *key, *ticket));
        drop(waiter);
        // From here on, a grant goes back to its sender; one that was sent before is returned here.
        answer.close();
        if let Ok(Ok(grant)) = answer.try_recv() {
            self.server.take_back(grant);
        }
    }
}
