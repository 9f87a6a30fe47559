//! The steps of an acquire: ask the scheduler, wait, prepare the session, start over if it is dead.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
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

/// Whether a connection can be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Ready,
    /// It turned out to be dead.
    Dead,
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
    /// For the end of the tenant's move to another place.
    Cutover,
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
        self.acquire_for_upkeep_by(&self.upkeep).await
    }

    /// Acquires an unbound connection for [maintenance of a place](Self::upkeep_at).
    pub(crate) async fn acquire_for_upkeep_by(
        self: &Arc<Self>,
        upkeep: &Arc<Occupant>,
    ) -> Result<Lease, Error> {
        self.acquire(upkeep, Purpose::Upkeep).await
    }

    /// Acquires a connection like [`acquire`](Self::acquire), waiting at most `limit`.
    pub(crate) async fn acquire_within(
        self: &Arc<Self>,
        limit: Duration,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
    ) -> Result<Lease, Error> {
        let giving = self.giving(occupant, purpose);
        let lease = giving.acquire_here(limit, occupant, purpose).await?;
        Ok(self.note_writer(lease, purpose))
    }

    async fn acquire_here(
        self: &Arc<Self>,
        limit: Duration,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
    ) -> Result<Lease, Error> {
        let acquired = match self.ask_at_once(occupant) {
            // The fast path: already bound, recently seen alive, nothing to wait for.
            Ok(Some(Attempt::Lease(lease))) if lease.is_ready(purpose) => {
                self.observer.meters.waited(Duration::ZERO);
                Ok(lease)
            }
            Ok(mut attempt) => {
                self.see_through_within(limit, &mut attempt, occupant, purpose).await
            }
            Err(error) => Err(error),
        };
        // The pool may know the tenant by an occupant that was looked up at another time.
        match acquired.and_then(|lease| occupant.check_key().map(|()| lease)) {
            Ok(lease) => Ok(self.given(lease)),
            Err(error) => Err(self.not_given(occupant, error)),
        }
    }

    /// Counts an acquire that got a connection.
    fn given(&self, lease: Lease) -> Lease {
        self.outcomes.given(lease.how());
        lease.open_span()
    }

    /// Counts an acquire that got none.
    fn not_given(&self, occupant: &Occupant, error: Error) -> Error {
        self.observer.meters.failed(error.class());
        self.outcomes.not_given(error.kind());
        self.name_in(occupant.name(error))
    }

    /// Returns the error of an acquire that has waited for the end of the tenant's move, and counts
    /// it.
    pub(crate) fn not_moved_in_time(&self, occupant: &Occupant, waited: Duration) -> Error {
        self.not_given(occupant, self.timed_out(occupant, waited, Stage::Cutover))
    }

    /// Asks the scheduler, unless the acquire has to wait before that.
    fn ask_at_once(self: &Arc<Self>, occupant: &Arc<Occupant>) -> Result<Option<Attempt>, Error> {
        if self.options.refuse_nested_acquires {
            self.refuse_nested(occupant)?;
        }
        if self.is_free(occupant) { self.ask(occupant).map(Some) } else { Ok(None) }
    }

    /// Returns `true` if nothing holds acquires of the occupant back. While the tenant is being
    /// renamed or dropped, intermediate states must not be reported.
    fn is_free(&self, occupant: &Occupant) -> bool {
        self.separation.is_undisputed() && !self.gates.is_closed(occupant.tenant())
    }

    async fn see_through_within(
        self: &Arc<Self>,
        limit: Duration,
        attempt: &mut Option<Attempt>,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
    ) -> Result<Lease, Error> {
        let began = Instant::now();
        let mut stage = Stage::Queue;
        let notice_after = NOTICE_AFTER.min(limit / 2);
        let ended = {
            let mut through = pin!(self.see_through(attempt, occupant, purpose, &mut stage));
            match timeout(notice_after, through.as_mut()).await {
                Err(_) => {
                    self.notice_nested(occupant);
                    timeout(limit - notice_after, through).await
                }
                ended => ended,
            }
        };
        let lease = ended.unwrap_or_else(|_| Err(self.timed_out(occupant, limit, stage)))?;
        self.observer.meters.waited(began.elapsed());
        Ok(lease)
    }

    /// Waits for a connection and prepares it; starts over if it turns out to be dead. Without an
    /// attempt, it asks the scheduler as soon as that is allowed.
    async fn see_through(
        self: &Arc<Self>,
        attempt: &mut Option<Attempt>,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
        stage: &mut Stage,
    ) -> Result<Lease, Error> {
        let mut credentials = None;
        loop {
            let mut lease = match attempt.take() {
                Some(Attempt::Lease(lease)) => lease,
                Some(Attempt::Wait(waiting)) => {
                    *stage = Stage::Queue;
                    waiting.answer().await?
                }
                None => {
                    *stage = Stage::Gate;
                    self.separation.pass().await?;
                    self.gates.pass(occupant.tenant()).await;
                    *attempt = Some(self.ask(occupant)?);
                    continue;
                }
            };
            if !lease.is_current() {
                lease.retire();
                continue;
            }
            if !lease.is_logged_in() {
                if let (None, Some(login)) = (&credentials, occupant.login()) {
                    // Do not hold a place in the budget while an external service answers.
                    drop(lease);
                    *stage = Stage::Credentials;
                    credentials = Some(self.credentials(login).await?);
                    *attempt = Some(self.ask(occupant)?);
                    continue;
                }
                // Without its type: the futures of all callers would be too deep for the compiler.
                lease.log_in(credentials.take().flatten()).boxed().await?;
            }
            *stage = Stage::Session;
            if self.fit_out(&mut lease, occupant, purpose).await? == Fit::Ready {
                return Ok(lease);
            }
        }
    }

    /// Prepares the session of a lease.
    async fn fit_out(
        &self,
        lease: &mut Lease,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
    ) -> Result<Fit, Error> {
        let fresh = lease.backend_pid().is_none();
        let Err(error) = lease.prepare(purpose).await else {
            // Meanwhile, a check may have decided that nothing is served.
            self.separation.pass().await?;
            // A first bind finds out whether the server is a standby that is to be left.
            let is_current = lease.is_current();
            return Ok(if is_current { Fit::Ready } else { Fit::Dead });
        };
        if is_of_hook(&error) {
            return Err(error.into());
        }
        if leaves_session_usable(&error) {
            return Err(refused_bind(lease, occupant, error));
        }
        if lease.is_unasked() {
            // A pooler answers a login without a server. The next connect asks the server itself, and deals with that.
            return Ok(Fit::Dead);
        }
        if fresh && !lease.is_in_question() {
            let lost = Error::new(ErrorKind::Unavailable, "binding a session");
            return Err(lost.with_source(error));
        }
        // No statement of the lease was sent, and the next connection may be better.
        let reusing = PoolError::new(occupant.tenant(), "reusing an idle connection", &error);
        self.observer.tell(Event::PoolError(reusing));
        Ok(Fit::Dead)
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
        match taken.and_then(|lease| occupant.check_key().map(|()| lease)) {
            Ok(lease) => Ok(lease.map(|lease| self.note_writer(self.given(lease), purpose))),
            Err(error) => Err(self.not_given(occupant, error)),
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
        self.refuse_useless(occupant)?;
        if !self.is_free(occupant) {
            return Ok(None);
        }
        self.start();
        loop {
            let Some(grant) = self.change(|state, now| state.ask_for_idle(now, occupant)) else {
                return Ok(None);
            };
            let mut lease = Lease::new(Arc::clone(self), grant);
            if !lease.is_current() {
                lease.retire();
            } else if !lease.is_logged_in() {
                // Logging in would open another connection.
                return Ok(None);
            } else if self.fit_out(&mut lease, occupant, purpose).await? == Fit::Ready {
                return Ok(Some(lease));
            }
        }
    }

    /// Refuses an acquire that cannot succeed.
    fn refuse_useless(&self, occupant: &Occupant) -> Result<(), Error> {
        if self.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "acquiring a connection"));
        }
        if occupant.is_refused() { Err(occupant.refusal()) } else { Ok(()) }
    }

    /// Asks the scheduler once.
    fn ask(self: &Arc<Self>, occupant: &Arc<Occupant>) -> Result<Attempt, Error> {
        if occupant.is_refused() {
            return Err(occupant.refusal());
        }
        self.start();
        match self.change(|state, now| state.ask(now, occupant)) {
            Asked::Granted(grant) => Ok(Attempt::Lease(Lease::new(Arc::clone(self), grant))),
            Asked::Waiting(place) => {
                Ok(Attempt::Wait(Waiting { server: Arc::clone(self), place, answered: false }))
            }
            Asked::QueueFull(most) => Err(occupant.name(queue_full(most))),
            Asked::Cut(error) => Err(error),
            Asked::Closed => {
                Err(occupant.name(Error::new(ErrorKind::Closed, "acquiring a connection")))
            }
        }
    }

    /// Refuses the acquire of a task that already holds a connection.
    fn refuse_nested(&self, occupant: &Occupant) -> Result<(), Error> {
        match self.nested(occupant) {
            None => Ok(()),
            Some(nested) => {
                let attempted = format!(
                    "{nested}; return it first, or run the statement on it. Nested acquires are \
                     refused, because they deadlock when the pool is exhausted \
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
                "an acquire waits, and {nested}: unless another connection becomes free, the task waits \
                 for itself. Run the statement on the connection or transaction that it holds"
            );
        }
    }

    /// Returns `true` if the current task holds a connection already.
    pub(crate) fn is_nested(&self, occupant: &Occupant) -> bool {
        self.nested(occupant).is_some()
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
        Some(format!("this task has held a connection of {whose} for {for_long:.1?}"))
    }

    /// Creates the error of a timed-out acquire, and emits its event with the tenant and the cause,
    /// because sqlx's error cannot carry them.
    fn timed_out(&self, occupant: &Occupant, waited: Duration, stage: Stage) -> Error {
        let reason = match stage {
            Stage::Gate => {
                "the tenant is being renamed or dropped, or a new connection is being checked"
                    .into()
            }
            Stage::Queue => {
                let mut reason = self.occupancy(occupant);
                if let Some(nested) = self.nested(occupant) {
                    reason += &format!("; {nested} and may wait for itself");
                }
                reason
            }
            Stage::Credentials => "the credentials lookup did not finish".into(),
            Stage::Session => "the server did not respond on the connection".into(),
            Stage::Cutover => "the tenant is being moved to another place".into(),
        };
        let attempted = format!("waited {waited:?} for a connection: {reason}");
        let tenant_id = occupant.tenant().cloned();
        let timeout = AcquireTimeout { tenant_id, waited, reason, server: None };
        self.observer.tell(Event::AcquireTimeout(timeout));
        Error::new(ErrorKind::Timeout, attempted).with_retry_after(RETRY_AFTER)
    }
}

fn queue_full(most: usize) -> Error {
    let attempted = format!("{most} requests of this tenant are already waiting");
    Error::new(ErrorKind::Overloaded, attempted).with_retry_after(RETRY_AFTER)
}

/// Returns the error of a bind that the server, or the library, has refused.
fn refused_bind(lease: &Lease, occupant: &Occupant, error: sqlx::Error) -> Error {
    if lease.is_retired() {
        // The tenant pool may know the tenant by the occupant of another handle.
        occupant.retire();
        return occupant.refusal();
    }
    match own(&error) {
        Some(own) if own.kind() == ErrorKind::Config => own.again(),
        _ => Error::new(ErrorKind::Database, "binding a session").with_source(error),
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
