//! Background work of the pool: connecting, cleaning, closing, and periodic maintenance.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout},
};

use super::{
    Lease,
    abandoned::{Abandoned, OpenTransaction},
    breaker::Opener,
    credentials::{Credentials, Login, LoginOf},
    introduce::Newcomer,
    lease::Effect,
    occupant::Occupant,
    scheduler::{ConnId, Time},
    server::Server,
    session::{CONNECTION_CHECK_INTERVAL, Purpose, Session, leaves_session_usable},
    state::Condemned,
};
use crate::{
    error::{Error, ErrorClass, ErrorKind, class_of},
    event::{Event, PoolError, Retry, RetryOf},
    retry::{Retrier, RetryPolicy, Transient},
};

/// How long the place of a closed connection stays occupied. The server needs a moment to end the
/// process behind it; an immediate connect would exceed the budget from the server's point of view.
const LINGER: Duration = Duration::from_millis(10);

/// After this time, a pending connect no longer keeps requests from idle connections.
const SLOW_OPENING: Duration = Duration::from_millis(50);

/// How long an abandoned statement may continue before the server is asked to cancel it, not
/// counting network latency.
const PATIENCE: Duration = Duration::from_millis(50);

/// Timeout for a ping.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);

/// Timeout for a cancel request.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// Timeout for a clean disconnect.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

impl Server {
    /// Opens a connection for a place that the scheduler has reserved.
    pub(super) fn open_later(self: &Arc<Self>, conn: ConnId, opener: Opener) {
        let opening = Opening { server: Some(Arc::clone(self)), conn, opener };
        let server = Arc::clone(self);
        self.spawn(async move {
            let mut open = pin!(timeout(server.options.connect_timeout, server.open(opener)));
            let opened = match timeout(SLOW_OPENING, &mut open).await {
                Ok(opened) => opened,
                Err(_) => {
                    server.change(|state, now| state.scheduler.opening_is_slow(now, conn));
                    open.await
                }
            };
            match opened.unwrap_or_else(|_| Err(too_late())) {
                Ok(session) if server.separation.is_probe_due() => {
                    server.introduce(Newcomer::new(opening, session)).await;
                }
                opened => opening.end(opened),
            }
        });
    }

    /// Opens a connection; retries according to the policy, unless no request waits for it.
    async fn open(self: &Arc<Self>, opener: Opener) -> sqlx::Result<Session> {
        let policy = match opener {
            Opener::Need => self.options.retry.clone(),
            Opener::Probe | Opener::Partner => RetryPolicy::never(),
        };
        let (server, told) = (Arc::clone(self), Arc::clone(self));
        let most = policy.max_attempts;
        let transient = move |error: &sqlx::Error| {
            // A server without free slots is retried later and by one connect only: see
            // `State::run_short`.
            let full = class_of(error) == ErrorClass::TooManyConnections && server.is_alive();
            error.is_transient() && !full && !server.is_closed()
        };
        let retrier = Retrier::when(policy, transient).on_retry(move |attempt, error, delay| {
            let cause = (class_of(error), error.to_string());
            let retry = Retry::new(RetryOf::Connect, None, (attempt, most), delay, cause);
            told.observer.retrying(retry);
            // The one that waits, and the one that failed.
            told.expect_no_partner_of(2);
        });
        retrier
            .run(|| async {
                let began = Instant::now();
                let now = self.now();
                let (separation, extensions) = (&self.separation, &self.extensions);
                let open = Session::open(&self.connector, None, now, separation, extensions);
                let session = open.await?;
                self.observer.meters.connected(began.elapsed());
                self.note_round_trip(session.round_trip);
                self.note_opened(&session);
                Ok(session)
            })
            .await
    }

    /// Closes a lease's connection and opens another with these credentials, in its place in the
    /// budget.
    ///
    /// # Cancel safety
    ///
    /// When dropped, or on failure, the place is free.
    pub(super) async fn reopen(
        self: &Arc<Self>,
        conn: ConnId,
        session: Session,
        login: &Login,
        credentials: &Credentials,
    ) -> Result<Session, Error> {
        let mut returning = Returning { server: Some(Arc::clone(self)), conn };
        let held = session.held.clone();
        say_goodbye(session).await;
        let (separation, extensions) = (&self.separation, &self.extensions);
        let login_as = Some(credentials);
        let open = Session::open(&self.connector, login_as, self.now(), separation, extensions);
        let opened =
            timeout(self.options.connect_timeout, open).await.unwrap_or_else(|_| Err(too_late()));
        let mut session = opened.map_err(|error| {
            let opening = match login.of() {
                LoginOf::Tenant(_) => "opening a connection with the tenant's own credentials",
                LoginOf::Upkeep => "opening a connection with the credentials of upkeep",
            };
            self.observer.tell(Event::PoolError(PoolError::new(login.tenant(), opening, &error)));
            Error::new(ErrorKind::Unavailable, opening).with_source(error)
        })?;
        session.note_login(login.of());
        session.held = held;
        returning.server = None;
        Ok(session)
    }

    /// Checks after a delay whether connections can be opened again.
    pub(super) fn review_supply_later(self: &Arc<Self>, after: Duration) {
        let (server, shutdown) = (Arc::downgrade(self), self.shutdown().clone());
        self.spawn(async move {
            if shutdown.run_until_cancelled(sleep(after)).await.is_some()
                && let Some(server) = server.upgrade()
            {
                server.change(|state, now| state.review_supply(now));
            }
        });
    }

    /// Cleans up a session before its next use, and rolls back its transaction.
    pub(super) fn clean_later(
        self: &Arc<Self>,
        conn: ConnId,
        mut session: Session,
        occupant: Arc<Occupant>,
        open: OpenTransaction,
    ) {
        let returning = Returning { server: Some(Arc::clone(self)), conn };
        let server = Arc::clone(self);
        // A pin alone does not count as an alteration.
        let altered = self.options.close_altered_sessions && session.is_touched();
        self.spawn(async move {
            if open.is_of_interest() {
                server.look_at_abandoned(&mut session, &occupant, open).await;
            }
            match server.clean(&mut session, &occupant).await {
                Cleaned::Yes if !altered => returning.give_back(session),
                Cleaned::Yes | Cleaned::No => returning.close(session).await,
                Cleaned::Busy => {
                    returning.close_and_wait(session, CONNECTION_CHECK_INTERVAL).await;
                }
            }
        });
    }

    /// Checks, before the rollback, whether a transaction has changed anything. If it cannot be
    /// checked now, nothing is reported: the transaction has failed, or one of its statements is
    /// still running.
    async fn look_at_abandoned(
        &self,
        session: &mut Session,
        occupant: &Occupant,
        open: OpenTransaction,
    ) {
        if let Ok(Ok(true)) = timeout(self.patience(), session.has_changed()).await {
            let (tenant, backend_pid) = (occupant.tenant().cloned(), session.backend);
            open.was_abandoned(Abandoned { tenant, backend_pid });
        }
    }

    async fn clean(self: &Arc<Self>, session: &mut Session, occupant: &Arc<Occupant>) -> Cleaned {
        // The session is not bound again for its tenant if that is gone, or if it was not logged in
        // yet. An operation that hung while the session was being bound would hang again.
        let wanted =
            !occupant.is_retired() && session.is_logged_in_for(occupant) && session.is_bound();
        let nobody = self.system();
        let occupant = if wanted { occupant } else { nobody };
        let (manner, idle, patience) = (self.manner(), Purpose::Idle, self.patience());
        if let Ok(done) = timeout(patience, session.bind(occupant, manner, idle)).await {
            let bound = done.is_ok();
            return match self.cleaned(session, done).await {
                Cleaned::Yes if bound => self.follow_up(session, occupant).await,
                cleaned => cleaned,
            };
        }
        // The cancel request needs a connection. Until one is available, reading on may finish by
        // itself; if this is the only connection, it has to.
        let ask_on = {
            let reading = pin!(session.bind(nobody, manner, idle));
            let limit = CANCEL_TIMEOUT + patience;
            let asking = pin!(timeout(limit, self.acquire(nobody, Purpose::Statement)));
            match select(reading, asking).await {
                Either::Left((done, _)) => Err(done),
                Either::Right((lease, _)) => Ok(lease.ok().and_then(Result::ok)),
            }
        };
        let asked = match (ask_on, session.backend) {
            (Err(done), _) => return self.cleaned(session, done).await,
            (Ok(Some(lease)), Some(backend)) => cancel_statement(lease, backend).await,
            _ => false,
        };
        tracing::debug!(backend = session.backend, asked, "cancelling an abandoned statement");
        if !asked {
            // A cancel request that may still be in flight must not hit the next statement.
            return Cleaned::Busy;
        }
        match timeout(self.options.cleanup_timeout, session.bind(nobody, manner, idle)).await {
            Ok(done) => self.cleaned(session, done).await,
            Err(_) => Cleaned::Busy,
        }
    }

    /// Runs the application's hook on a session that was bound again in the background, so that the
    /// next request does not wait for it.
    async fn follow_up(&self, session: &mut Session, occupant: &Occupant) -> Cleaned {
        if session.is_hooked() {
            return Cleaned::Yes;
        }
        match timeout(self.options.cleanup_timeout, session.follow_up(occupant)).await {
            Ok(Ok(())) => {
                session.note_answer(self.now());
                Cleaned::Yes
            }
            Ok(Err(error)) => {
                let failed = PoolError::new(occupant.tenant(), "running after_bind", &error);
                self.observer.tell(Event::PoolError(failed));
                Cleaned::No
            }
            Err(_) => Cleaned::Busy,
        }
    }

    /// Returns the normal time limit of a session reset.
    fn patience(&self) -> Duration {
        PATIENCE + (self.round_trip() * 3).min(CANCEL_TIMEOUT)
    }

    /// Returns the timeout for a ping.
    pub(super) fn sign_of_life(&self) -> Duration {
        SIGN_OF_LIFE.max(self.round_trip() * 3)
    }

    /// Pings, concurrently, every idle connection that may be dead, because one was found dead.
    /// Requests that arrive meanwhile open another connection.
    pub(super) fn look_for_dead(self: &Arc<Self>) {
        let suspects =
            self.change(|state, now| state.take_idle(now, |session| self.is_suspect(session)));
        for (conn, mut session, _) in suspects {
            let returning = Returning { server: Some(Arc::clone(self)), conn };
            let server = Arc::clone(self);
            self.spawn(async move {
                match session.show_life(server.sign_of_life()).await {
                    Ok(()) => {
                        session.note_answer(server.now());
                        returning.give_back(session);
                    }
                    Err(_) => returning.close(session).await,
                }
            });
        }
    }

    async fn cleaned(&self, session: &mut Session, done: sqlx::Result<()>) -> Cleaned {
        let Err(error) = done else {
            session.note_answer(self.now());
            return Cleaned::Yes;
        };
        let failed = PoolError::new(None, "resetting a session", &error);
        self.observer.tell(Event::PoolError(failed));
        if !leaves_session_usable(&error) {
            self.suspect_all();
            return Cleaned::No;
        }
        // The cause of the failure may be the role or a setting of this tenant. The session is
        // still good for others, and closing it would cost a connection per attempt.
        let system = session.bind(self.system(), self.manner(), Purpose::Idle);
        match timeout(self.patience(), system).await {
            Ok(Ok(())) => Cleaned::Yes,
            _ => Cleaned::No,
        }
    }

    /// Closes the connection of a lease that ended in an error.
    pub(super) fn close_lease(self: &Arc<Self>, conn: ConnId, session: Session) {
        let returning = Returning { server: Some(Arc::clone(self)), conn };
        self.spawn(returning.close(session));
    }

    /// Closes the connection of a lease on which a statement may still be running.
    pub(super) fn close_busy_lease(self: &Arc<Self>, conn: ConnId, session: Session) {
        let returning = Returning { server: Some(Arc::clone(self)), conn };
        self.spawn(returning.close_and_wait(session, CONNECTION_CHECK_INTERVAL));
    }

    /// Closes an idle connection.
    pub(super) fn close_idle(self: &Arc<Self>, conn: ConnId, session: Option<Session>) {
        let closing = Closing { server: Arc::clone(self), conn };
        self.spawn(async move {
            if let Some(session) = session {
                say_goodbye(session).await;
            }
            drop(closing);
        });
    }

    /// Runs periodic maintenance while the pool is referenced elsewhere.
    pub(super) fn keep_house(self: &Arc<Self>) {
        let (server, shutdown) = (Arc::downgrade(self), self.shutdown().clone());
        let pause = self.options.tick();
        self.spawn(async move {
            while shutdown.run_until_cancelled(sleep(pause)).await.is_some()
                && let Some(server) = server.upgrade()
            {
                while server.change(|state, now| state.scheduler.tick(now)) {
                    yield_now().await;
                }
                let pinned =
                    server.change(|state, now| state.take_idle(now, Session::is_pinned_in_vain));
                for (conn, mut session, occupant) in pinned {
                    session.unpin();
                    server.clean_later(conn, session, occupant, OpenTransaction::None);
                }
            }
        });
    }

    /// Returns the time at which a connection that is opened now expires.
    fn expiry(&self) -> Time {
        let Some(lifetime) = self.options.max_lifetime else {
            return Time::MAX;
        };
        let jitter = lifetime / 10_000 * fastrand::u32(..1_000);
        self.now().saturating_add(lifetime.saturating_sub(jitter))
    }
}

fn too_late() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

enum Cleaned {
    Yes,
    No,
    /// A statement is still running on it.
    Busy,
}

/// Asks the server to cancel a session's statement. Returns `true` if it has answered.
async fn cancel_statement(mut lease: Lease, backend: i32) -> bool {
    let ask = sqlx::query("select pg_catalog.pg_cancel_backend($1)").bind(backend);
    let asked = timeout(CANCEL_TIMEOUT, ask.execute(&mut lease.start().conn)).await;
    if let Ok(answer) = &asked {
        lease.finish(Effect::OnData, answer);
    }
    matches!(asked, Ok(Ok(_)))
}

pub(super) async fn say_goodbye(session: Session) {
    if !matches!(timeout(CLOSE_TIMEOUT, session.close()).await, Ok(Ok(()))) {
        tracing::debug!("a connection was closed without a goodbye");
    }
    sleep(LINGER).await;
}

/// The place of a connection that is being opened; dropping it reports a failure.
#[derive(Debug)]
pub(super) struct Opening {
    server: Option<Arc<Server>>,
    conn: ConnId,
    opener: Opener,
}

impl Opening {
    pub(super) fn opener(&self) -> Opener {
        self.opener
    }

    pub(super) fn end(mut self, opened: sqlx::Result<Session>) {
        let Some(server) = self.server.take() else {
            return;
        };
        let conn = self.conn;
        let expires = server.expiry();
        match opened {
            Ok(session) => {
                server.change(|state, now| state.opened(now, conn, session, expires));
            }
            Err(error) if self.opener == Opener::Partner => {
                // No request waits for it. A connection that cannot be compared is served all the
                // same.
                tracing::debug!(%error, "no second connection to compare the first one with");
                server.change(|state, now| state.open_failed(now, conn, Some(error)));
                server.expect_no_partner_of(1);
            }
            Err(error) => {
                let failed = PoolError::new(None, "opening a connection", &error);
                server.observer.meters.failed(failed.class);
                server.observer.tell(Event::PoolError(failed));
                server.change(|state, now| state.open_failed(now, conn, Some(error)));
                server.expect_no_partner_of(1);
            }
        }
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

/// The place of a lease that is being returned; dropping it reports that the connection is gone.
#[derive(Debug)]
pub(super) struct Returning {
    server: Option<Arc<Server>>,
    conn: ConnId,
}

impl Returning {
    pub(super) fn new(server: Arc<Server>, conn: ConnId) -> Self {
        Self { server: Some(server), conn }
    }

    fn give_back(mut self, session: Session) {
        if let Some(server) = self.server.take() {
            server.give_back(self.conn, session);
        }
    }

    async fn close(self, mut session: Session) {
        if let Some(server) = &self.server {
            server.inquire(&mut session).await;
        }
        say_goodbye(session).await;
    }

    /// Closes a connection whose server process notices only after a while, and keeps its place in
    /// the budget until then.
    async fn close_and_wait(self, session: Session, wait: Duration) {
        say_goodbye(session).await;
        sleep(wait).await;
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.release_closed(self.conn);
        }
    }
}

/// The place of a connection that is being closed; dropping it reports that it is gone.
struct Closing {
    server: Arc<Server>,
    conn: ConnId,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.server.change(|state, now| state.scheduler.closed(now, self.conn));
    }
}
