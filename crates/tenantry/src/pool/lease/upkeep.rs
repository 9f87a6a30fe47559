//! Maintenance on a lease: it serves one schema after the other, on a session that is bound again
//! for each.

use std::sync::Arc;

use sqlx::{Executor, raw_sql};

use super::{
    super::{
        occupant::Occupant,
        scheduler::Class,
        server::{Place, Returning},
        session::{Answers, Purpose, Question},
        session_error::leaves_session_usable,
    },
    Effect, Lease, UsedBy,
};
use crate::{
    citus::Citus,
    error::{Error, ErrorKind},
};

impl Lease {
    /// Binds a maintenance lease to another occupant: all session state of the previous one is
    /// removed.
    ///
    /// # Errors
    ///
    /// The server's errors, and [`Placement`](ErrorKind::Placement) if the occupant is in another
    /// database or on another server.
    ///
    /// # Cancel safety
    ///
    /// When dropped midway, the session counts as dirty.
    pub(crate) async fn serve(&mut self, occupant: &Arc<Occupant>) -> sqlx::Result<()> {
        self.refuse_elsewhere(occupant)?;
        self.now_serves(occupant);
        let manner = self.server.manner();
        let bound = self.start().bind(occupant, manner, Purpose::Upkeep).await;
        self.finish(Effect::OnSession, &bound);
        bound
    }

    /// Returns what the lease's database has of Citus. Asks at most once.
    ///
    /// # Cancel safety
    ///
    /// When dropped midway, the session counts as dirty.
    pub(crate) async fn citus(&mut self) -> sqlx::Result<Option<Citus>> {
        let server = Arc::clone(&self.server);
        let database = self.occupant.home().database().cloned();
        if let Some(known) = server.citus().known(database.as_ref()) {
            return Ok(known);
        }
        let found = server.citus().of(database.as_ref(), &mut self.start().conn).await;
        self.finish(Effect::OnData, &found);
        found
    }

    /// Queries a value for each of the occupants, in one round trip. The session is unbound
    /// afterwards.
    ///
    /// # Cancel safety
    ///
    /// When dropped midway, the session counts as dirty.
    pub(crate) async fn ask_each(
        &mut self,
        occupants: &[Arc<Occupant>],
        question: &Question,
        answers: &mut Answers,
    ) -> sqlx::Result<()> {
        occupants.iter().try_for_each(|occupant| self.refuse_elsewhere(occupant))?;
        let manner = self.server.manner();
        let asked = self.start().ask_each(occupants, question, manner, answers).await;
        self.finish(Effect::OnSession, &asked);
        asked
    }

    /// Refuses an occupant that is in another database or on another server: its schema's name can
    /// also exist here.
    fn refuse_elsewhere(&self, occupant: &Occupant) -> Result<(), Error> {
        let home = occupant.home();
        if self.server.name() == home.server() && self.session().is_at_home(occupant) {
            return Ok(());
        }
        let attempted =
            format!("its data is in {home}, and this connection is to another database");
        Err(occupant.name(Error::new(ErrorKind::Placement, attempted)))
    }

    /// Returns a maintenance lease after releasing its session's locks, so that they are available
    /// immediately. Dropping would hold them until the session has been reset.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the same happens in the background.
    pub(crate) async fn settle(mut self) {
        let unlock = "begin; rollback; select pg_catalog.pg_advisory_unlock_all()";
        let mut settled = self.start().conn.execute(raw_sql(unlock)).await.map(drop);
        if settled.as_ref().is_err_and(leaves_session_usable) {
            // A failed transaction refuses even `begin`.
            let unlock = "rollback; select pg_catalog.pg_advisory_unlock_all()";
            settled = self.start().conn.execute(raw_sql(unlock)).await.map(drop);
        }
        self.finish(Effect::OnSession, &settled);
    }

    /// Records the occupant that a maintenance lease serves now, without a new bind.
    pub(crate) fn now_serves(&mut self, occupant: &Arc<Occupant>) {
        let is_used = self.used_by == UsedBy::Caller;
        if let Some(writing) = &mut self.writing {
            writing.pass_to(occupant.tenant(), is_used);
        }
        self.serves = Some(Arc::clone(occupant));
        self.retires |= occupant.class == Class::Dedicated;
    }

    /// Returns `true` if a maintenance lease serves this occupant now.
    pub(crate) fn is_serving(&self, occupant: &Arc<Occupant>) -> bool {
        self.serves.as_ref().is_some_and(|served| Arc::ptr_eq(served, occupant))
    }

    /// Returns `true` if the connection should not be reused: it has served a dedicated tenant, or
    /// its server process has grown too large.
    pub(crate) fn is_spent(&self) -> bool {
        self.retires || self.session().is_worn_out(&self.server.options)
    }

    /// Counts tables that were read without a bind to their schema.
    pub(crate) fn wear(&mut self, tables: usize) {
        if let Some(session) = &mut self.session {
            session.wear(tables);
        }
    }

    /// Closes the connection and keeps its place in the budget.
    pub(crate) async fn leave_place(mut self) -> Place {
        let place = Returning::new(Arc::clone(&self.server), self.conn);
        if let Some(session) = self.session.take() {
            let linger = self.server.linger(&session);
            session.disconnect(linger).await;
        }
        Place::from(place)
    }
}
