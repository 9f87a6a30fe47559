//! Opens connections in the background.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::{
    breaker::Opener,
    credentials::{Credentials, Login, LoginOf},
    deadline::within,
    scheduler::{ConnId, Time},
    server::{Newcomer, Opening, Returning, Server},
    session::Session,
};
use crate::{
    error::{Error, ErrorClass, ErrorKind, class_of},
    event::{Event, PoolError, Retry, RetryOf},
    retry::{Retrier, RetryPolicy, Transient},
};

/// After this time, a pending connect no longer keeps requests from idle connections.
const SLOW_OPENING: Duration = Duration::from_millis(50);

impl Server {
    /// Opens a connection for a place that the scheduler has reserved.
    pub(super) fn open_later(self: &Arc<Self>, conn: ConnId, opener: Opener) {
        let opening = Opening::new(Arc::clone(self), conn, opener);
        let server = Arc::clone(self);
        self.spawn(async move {
            let mut open = pin!(within(server.options.connect_timeout, server.open(opener)));
            let opened = match timeout(SLOW_OPENING, &mut open).await {
                Ok(opened) => opened,
                Err(_) => {
                    server.change(|state, now| state.scheduler.opening_is_slow(now, conn));
                    open.await
                }
            };
            match opened {
                Ok(session) if server.separation.is_probe_due() => {
                    server.introduce(Newcomer { opening, session }).await;
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
        retrier.run(|| self.open_once()).await
    }

    async fn open_once(&self) -> sqlx::Result<Session> {
        let (began, now) = (Instant::now(), self.now());
        let (separation, extensions) = (&self.separation, &self.extensions);
        let session = Session::open(&self.connector, None, now, separation, extensions).await?;
        self.observer.meters.connected(began.elapsed());
        self.note_round_trip(session.round_trip);
        self.note_opened(&session);
        Ok(session)
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
        let returning = Returning::new(Arc::clone(self), conn);
        let held = session.held.clone();
        session.disconnect().await;
        let (separation, extensions) = (&self.separation, &self.extensions);
        let login_as = Some(credentials);
        let open = Session::open(&self.connector, login_as, self.now(), separation, extensions);
        let opened = within(self.options.connect_timeout, open).await;
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
        returning.keep();
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

    /// Returns the time at which a connection that is opened now expires.
    pub(super) fn expiry(&self) -> Time {
        let Some(lifetime) = self.options.max_lifetime else {
            return Time::MAX;
        };
        let jitter = lifetime / 10_000 * fastrand::u32(..1_000);
        self.now().saturating_add(lifetime.saturating_sub(jitter))
    }
}
