//! Cleans and closes the connections of leases in the background.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use tokio::time::{sleep, timeout};

use super::{
    abandoned::{Abandoned, OpenTransaction},
    deadline::within,
    lease::{Effect, Lease},
    occupant::Occupant,
    scheduler::ConnId,
    server::{Closing, Returning, Server},
    session::{CONNECTION_CHECK_INTERVAL, Purpose, Session},
    session_error::leaves_session_usable,
    writing::Writing,
};
use crate::event::{Event, PoolError};

/// How long an abandoned statement may continue before the server is asked to cancel it, not
/// counting network latency.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long an abandoned statement may continue that is a transaction behind a pooler. The pooler may be waiting for a
/// session.
const TO_SETTLE: Duration = Duration::from_secs(1);

/// How long a statement whose connection was lost may still be committed. The server ends it when it notices.
const MAY_COMMIT_FOR: Duration = CONNECTION_CHECK_INTERVAL.saturating_mul(2);

/// Timeout for a cancel request.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

enum Cleaned {
    Yes,
    No,
    /// A statement is still running on it.
    Busy,
}

impl Server {
    /// Cleans up a session before its next use, and rolls back its transaction.
    pub(super) fn clean_later(
        self: &Arc<Self>,
        conn: ConnId,
        mut session: Session,
        occupant: Arc<Occupant>,
        open: OpenTransaction,
        writing: Option<Writing>,
    ) {
        let returning = Returning::new(Arc::clone(self), conn);
        let server = Arc::clone(self);
        // A pin alone does not count as an alteration.
        let altered = self.options.close_altered_sessions && session.is_touched();
        self.spawn(async move {
            if open.is_of_interest() {
                server.look_at_abandoned(&mut session, &occupant, open).await;
            }
            if session.is_fleeting() {
                let settling = server.settle(&mut session, &occupant);
                match timeout(server.options.cleanup_timeout.min(TO_SETTLE), settling).await {
                    Ok(true) => return returning.give_back(session),
                    // The pooler ends the server's session with it.
                    Ok(false) | Err(_) => returning.close(session).await,
                }
                return server.outlast(writing).await;
            }
            match server.clean(&mut session, &occupant).await {
                Cleaned::Yes if !altered => return returning.give_back(session),
                Cleaned::Yes => return returning.close(session).await,
                Cleaned::No => returning.close(session).await,
                Cleaned::Busy => {
                    returning.close_and_wait(session, CONNECTION_CHECK_INTERVAL).await;
                }
            }
            server.outlast(writing).await;
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
        if let Ok(true) = within(self.patience(), session.has_changed()).await {
            let (tenant, backend_pid) = (occupant.tenant().cloned(), session.backend);
            open.was_abandoned(Abandoned { tenant, backend_pid });
        }
    }

    async fn clean(self: &Arc<Self>, session: &mut Session, occupant: &Arc<Occupant>) -> Cleaned {
        // The session is not bound again for its tenant if that is gone, or if it was not logged in
        // yet. An operation that hung while the session was being bound would hang again.
        let wanted =
            !occupant.is_retired() && session.is_logged_in_for(occupant) && session.is_bound();
        let occupant = if wanted { occupant } else { self.system() };
        let bind = session.bind(occupant, self.manner(), Purpose::Idle);
        let Ok(done) = timeout(self.patience(), bind).await else {
            return self.interrupt(session).await;
        };
        let bound = done.is_ok();
        match self.cleaned(session, done).await {
            Cleaned::Yes if bound => self.follow_up(session, occupant).await,
            cleaned => cleaned,
        }
    }

    /// Cleans a session on which an abandoned statement still runs: has the server cancel it.
    async fn interrupt(self: &Arc<Self>, session: &mut Session) -> Cleaned {
        let (system, manner, idle) = (self.system(), self.manner(), Purpose::Idle);
        // The cancel request needs a connection. Until one is available, reading on may finish by
        // itself; if this is the only connection, it has to.
        let lease = {
            let reading = pin!(session.bind(system, manner, idle));
            let limit = CANCEL_TIMEOUT + self.patience();
            let asking = pin!(timeout(limit, self.acquire(system, Purpose::Statement)));
            match select(reading, asking).await {
                Either::Left((done, _)) => Either::Left(done),
                Either::Right((lease, _)) => Either::Right(lease.ok().and_then(Result::ok)),
            }
        };
        let asked = match (lease, session.backend) {
            (Either::Left(done), _) => return self.cleaned(session, done).await,
            (Either::Right(Some(lease)), Some(backend)) => cancel_statement(lease, backend).await,
            (Either::Right(_), _) => false,
        };
        tracing::debug!(backend = session.backend, asked, "cancelling an abandoned statement");
        if !asked {
            // A cancel request that may still be in flight must not hit the next statement.
            return Cleaned::Busy;
        }
        match timeout(self.options.cleanup_timeout, session.bind(system, manner, idle)).await {
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
        let limit = self.options.cleanup_timeout;
        let Ok(ended) = timeout(limit, session.follow_up(occupant)).await else {
            return Cleaned::Busy;
        };
        if let Err(error) = ended {
            let failed = PoolError::new(occupant.tenant(), "running after_bind", &error);
            self.observer.tell(Event::PoolError(failed));
            return Cleaned::No;
        }
        session.note_answer(self.now());
        Cleaned::Yes
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
        match within(self.patience(), system).await {
            Ok(()) => Cleaned::Yes,
            Err(_) => Cleaned::No,
        }
    }

    /// Returns the normal time limit of a session reset.
    fn patience(&self) -> Duration {
        PATIENCE + (self.round_trip() * 3).min(CANCEL_TIMEOUT)
    }

    /// Closes the connection of a lease that ended in an error.
    pub(super) fn close_lease(
        self: &Arc<Self>,
        conn: ConnId,
        session: Session,
        writing: Option<Writing>,
    ) {
        let returning = Returning::new(Arc::clone(self), conn);
        let server = Arc::clone(self);
        self.spawn(async move {
            returning.close(session).await;
            server.outlast(writing).await;
        });
    }

    /// Closes the connection of a lease on which a statement may still be running.
    pub(super) fn close_busy_lease(
        self: &Arc<Self>,
        conn: ConnId,
        session: Session,
        writing: Option<Writing>,
    ) {
        let returning = Returning::new(Arc::clone(self), conn);
        let server = Arc::clone(self);
        self.spawn(async move {
            returning.close_and_wait(session, CONNECTION_CHECK_INTERVAL).await;
            server.outlast(writing).await;
        });
    }

    /// Lets reads see what may still be committed on a connection that was lost.
    async fn outlast(&self, writing: Option<Writing>) {
        if let Some(_until_then) = writing {
            self.shutdown().run_until_cancelled(sleep(MAY_COMMIT_FOR)).await;
        }
    }

    /// Closes an idle connection.
    pub(super) fn close_idle(self: &Arc<Self>, conn: ConnId, session: Option<Session>) {
        self.spawn(Closing::new(Arc::clone(self), conn).close(session));
    }
}

/// Asks the server to cancel a session's statement. Returns `true` if it has answered.
async fn cancel_statement(mut lease: Lease, backend: i32) -> bool {
    let ask = sqlx::query("select pg_catalog.pg_cancel_backend($1)").bind(backend);
    let Ok(answer) = timeout(CANCEL_TIMEOUT, ask.execute(&mut lease.start().conn)).await else {
        return false;
    };
    lease.finish(Effect::OnData, &answer);
    answer.is_ok()
}
