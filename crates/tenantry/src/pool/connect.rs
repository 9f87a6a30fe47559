//! Opens connections in the background.

use std::{pin::pin, sync::Arc, time::Duration};

use sqlx::postgres::PgDatabaseError;
use tokio::time::{Instant, sleep, timeout};

use super::{
    breaker::Opener,
    connector::LogInAs,
    credentials::{Credentials, Login, LoginOf},
    deadline::within,
    occupant::Occupant,
    scheduler::{ConnId, Time},
    server::{Newcomer, Opening, Returning, Server},
    session::Session,
    state::State,
};
use crate::{
    error::{Error, ErrorClass, ErrorKind, class_of},
    event::{Event, PoolError, Retry, RetryOf},
    retry::{Retrier, RetryPolicy, Transient},
    tenant::Ident,
};

/// Returns `true` if the server refuses the database, and not the connection: it does not exist, or
/// it accepts no connections, or none of this role.
fn is_of_database(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("3D000" | "42501" | "55000"))
}

/// Returns `true` if the limit of the database is reached (`connection limit`), and not that of the
/// server or the role: all have the same code, and the message is translated.
fn is_full_database(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref());
    error.is_some_and(|error: &PgDatabaseError| {
        error.code() == "53300" && error.routine() == Some("CheckMyDatabase")
    })
}

/// After this time, a pending connect no longer keeps requests from idle connections.
const SLOW_OPENING: Duration = Duration::from_millis(50);

impl Server {
    /// Opens a connection for a place that the scheduler has reserved.
    pub(super) fn open_later(self: &Arc<Self>, conn: ConnId, opener: Opener, home: Option<Ident>) {
        let opening = Opening::new(Arc::clone(self), conn, opener);
        let server = Arc::clone(self);
        self.spawn(async move {
            server.mind_the_clock();
            let mut open = pin!(within(server.options.connect_timeout, server.open(opener, home)));
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
    async fn open(self: &Arc<Self>, opener: Opener, home: Option<Ident>) -> sqlx::Result<Session> {
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
        retrier.run(|| self.open_once(home.as_ref())).await
    }

    async fn open_once(&self, home: Option<&Ident>) -> sqlx::Result<Session> {
        let began = Instant::now();
        let session = match self.open_at(LogInAs { login: None, home }).await {
            // A tenant's database concerns no other tenant: its own acquire gets the error, when it logs in there.
            Err(error)
                if home.is_some() && (is_of_database(&error) || is_full_database(&error)) =>
            {
                self.open_at(LogInAs::default()).await?
            }
            opened => opened?,
        };
        self.observer.meters.connected(began.elapsed());
        self.note_opened(&session);
        Ok(session)
    }

    async fn open_at(&self, log_in: LogInAs<'_>) -> sqlx::Result<Session> {
        Session::open(&self.connector, log_in, self.now(), &self.separation, &self.extensions).await
    }

    /// Closes a lease's connection and opens another one for the occupant, in its place in the budget.
    /// Without credentials, it uses the manager's.
    ///
    /// # Cancel safety
    ///
    /// When dropped, or on failure, the place is free.
    pub(super) async fn reopen(
        self: &Arc<Self>,
        conn: ConnId,
        session: Session,
        occupant: &Occupant,
        credentials: Option<&Credentials>,
    ) -> Result<Session, Error> {
        let returning = Returning::new(Arc::clone(self), conn);
        let held = session.held.clone();
        let linger = self.linger(&session);
        session.disconnect(linger).await;
        let open = self.open_at(LogInAs { login: credentials, home: occupant.home().database() });
        let opened = within(self.options.connect_timeout, open).await;
        let mut session = opened.map_err(|error| self.not_reopened(occupant, error))?;
        if let Some(login) = occupant.login() {
            session.note_login(login.of());
        }
        session.held = held;
        returning.keep();
        Ok(session)
    }

    fn not_reopened(&self, occupant: &Occupant, error: sqlx::Error) -> Error {
        let opening = match (occupant.home().database(), occupant.login().map(Login::of)) {
            (Some(_), _) => "opening a connection to the tenant's database",
            (None, Some(LoginOf::Upkeep)) => "opening a connection with the credentials of upkeep",
            (None, Some(LoginOf::Tenant(_))) => {
                "opening a connection with the tenant's own credentials"
            }
            (None, None) => "opening a connection with the manager's credentials",
        };
        let kind = match is_of_database(&error) {
            true => ErrorKind::Placement,
            false => ErrorKind::Unavailable,
        };
        self.observer.tell(Event::PoolError(PoolError::new(occupant.tenant(), opening, &error)));
        self.name_in(Error::new(kind, opening).with_source(error))
    }

    /// Checks after a delay whether connections can be opened again.
    pub(super) fn review_supply_later(self: &Arc<Self>, after: Duration) {
        self.change_later(after, State::review_supply);
    }

    /// Checks after a delay whether a dedicated tenant takes over a place.
    pub(super) fn review_homes_later(self: &Arc<Self>, after: Duration) {
        self.change_later(after, |state, now| state.scheduler.review(now));
    }

    fn change_later(self: &Arc<Self>, after: Duration, change: fn(&mut State, Time)) {
        let (server, shutdown) = (Arc::downgrade(self), self.shutdown().clone());
        self.spawn(async move {
            if shutdown.run_until_cancelled(sleep(after)).await.is_some()
                && let Some(server) = server.upgrade()
            {
                server.change(change);
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
