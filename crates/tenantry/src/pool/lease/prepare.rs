//! From a granted connection to a session that is ready for its occupant.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    super::{
        credentials::Credentials, deadline::within, hook::is_of_hook, occupant::Occupant,
        session::Purpose, session_error::leaves_session_usable,
    },
    Condition, Lease,
};
use crate::error::Error;

impl Lease {
    /// Returns `true` if the session is bound to its occupant, was recently seen alive, and is
    /// ready for this purpose.
    pub(in crate::pool) fn is_ready(&self, purpose: Purpose) -> bool {
        let now = Instant::now();
        self.condition == Condition::Clean
            && !self.occupant.is_retired()
            && !self.server.is_in_doubt(self.session(), now)
            && self.is_current()
            && self.is_logged_in()
            && self.session().is_ready_for(&self.occupant, purpose, now)
    }

    /// Returns `true` if the tenant turned out to be a different one.
    pub(in crate::pool) fn is_retired(&self) -> bool {
        self.occupant.is_retired()
    }

    /// Returns `true` if the connection has the login that the occupant requires.
    pub(in crate::pool) fn is_logged_in(&self) -> bool {
        self.session().is_logged_in_for(&self.occupant)
    }

    /// Logs in as the occupant, in its database: closes the connection and opens another in its place in the
    /// budget. Without credentials, it uses the manager's.
    ///
    /// # Cancel safety
    ///
    /// When dropped midway, the connection is gone.
    pub(in crate::pool) async fn log_in(
        &mut self,
        credentials: Option<Credentials>,
    ) -> Result<(), Error> {
        let occupant = Arc::clone(&self.occupant);
        match occupant.login() {
            Some(login) if credentials.is_none() && self.session().is_at_home(&occupant) => {
                self.start().note_login(login.of());
                return Ok(());
            }
            _ => {}
        }
        let Some(session) = self.session.take() else { return Ok(()) };
        self.condition = Condition::Dirty;
        let reopened = self.server.reopen(self.conn, session, &occupant, credentials.as_ref());
        self.session = Some(reopened.await?);
        Ok(())
    }

    /// Returns `true` if the connection may be used.
    pub(in crate::pool) fn is_current(&self) -> bool {
        self.server.is_current(self.session())
    }

    /// Returns `true` if its server has not answered any message yet.
    pub(in crate::pool) fn is_unasked(&self) -> bool {
        self.session().is_unasked()
    }

    /// Returns `true` if another backend has answered for a reason that is not known yet.
    pub(in crate::pool) fn is_in_question(&self) -> bool {
        self.session().identity.is_in_question()
    }

    /// Closes the connection instead of returning it.
    pub(crate) fn retire(mut self) {
        self.retires = true;
    }

    /// Binds the session to the occupant, or checks that it is alive, or neither if it is ready.
    ///
    /// # Errors
    ///
    /// The server's errors, and this crate's error when the tenant is not the one that the occupant
    /// was created for.
    ///
    /// # Cancel safety
    ///
    /// When dropped midway, the session counts as dirty.
    pub(in crate::pool) async fn prepare(&mut self, purpose: Purpose) -> sqlx::Result<()> {
        if self.is_ready(purpose) {
            return Ok(());
        }
        // Boxed: otherwise, the futures of all callers would be as large as this one, and too deep
        // for the compiler. A round trip is ahead.
        Box::pin(self.make_ready(purpose)).await
    }

    /// Binds the session again.
    ///
    /// # Errors
    ///
    /// Those of [`prepare`](Self::prepare).
    pub(in crate::pool) async fn rebind(&mut self, purpose: Purpose) -> sqlx::Result<()> {
        self.start();
        self.prepare(purpose).await
    }

    /// Binds the session to the occupant, or checks that it is alive.
    async fn make_ready(&mut self, purpose: Purpose) -> sqlx::Result<()> {
        if self.occupant.is_retired() {
            return Err(self.occupant.refusal().into());
        }
        let occupant = Arc::clone(&self.occupant);
        let began = Instant::now();
        let known = self.session().is_known_as(&occupant, began);
        let bound = self.condition == Condition::Clean && known;
        self.show_life(began).await?;
        let prepared = match self.is_fleeting() {
            true => self.begin_fleeting(&occupant, purpose).await,
            false => self.bind(&occupant, purpose, bound).await,
        };
        if !bound && prepared.is_ok() {
            self.server.observer.rebound(occupant.whose(), began.elapsed());
        }
        match &prepared {
            Ok(()) => {
                // An open transaction has to be ended.
                let ends_by_itself = !self.is_fleeting();
                self.condition = if ends_by_itself { Condition::Clean } else { Condition::Dirty };
                self.is_settled = true;
                self.note_answer();
                self.note_replayed();
            }
            Err(error) if leaves_session_usable(error) => {}
            Err(error) if is_of_hook(error) => self.retires = true,
            Err(_) => self.lose(),
        }
        prepared
    }

    /// Records what a replica has said in the response to the bind.
    fn note_replayed(&mut self) {
        if let Some(session) = &mut self.session {
            self.server.note_replayed(session);
        }
    }

    /// Pings the server if the connection may be dead: a ping detects that sooner than a statement
    /// would.
    async fn show_life(&mut self, now: Instant) -> sqlx::Result<()> {
        if !self.server.is_in_doubt(self.session(), now) {
            return Ok(());
        }
        let limit = self.server.sign_of_life();
        let alive = self.start().show_life(limit).await;
        if alive.is_err() {
            self.lose();
            self.server.look_for_dead();
        }
        alive
    }

    /// Binds the session to the occupant unless it already is, and prepares it for this purpose.
    async fn bind(
        &mut self,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
        bound: bool,
    ) -> sqlx::Result<()> {
        let (manner, connect_timeout) = (self.server.manner(), self.server.options.connect_timeout);
        let session = self.start();
        if bound {
            session.make_ready(occupant, purpose).await?;
        }
        // A pin may have taken a while, and does not tell whose a key is.
        if !bound || !session.is_known_as(occupant, Instant::now()) {
            let is_first = session.is_unasked();
            let bind = session.bind(occupant, manner, purpose);
            if is_first {
                // The first answer of a server is a part of the connect.
                within(connect_timeout, bind).await?;
                self.server.note_opened(self.session());
            } else {
                bind.await?;
            }
        }
        self.follow_up(occupant).await
    }

    /// Runs the application's hook, unless it has run since the session was bound.
    ///
    /// # Cancel safety
    ///
    /// When dropped midway, the connection is closed.
    async fn follow_up(&mut self, occupant: &Occupant) -> sqlx::Result<()> {
        if self.session().is_hooked() {
            return Ok(());
        }
        self.condition = Condition::InHook;
        let result = self.session_mut().follow_up(occupant).await;
        self.condition = Condition::Dirty;
        result
    }
}
