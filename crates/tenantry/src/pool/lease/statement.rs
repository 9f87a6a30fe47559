//! Statements and transactions that the library runs on a lease, and the effect of their results on
//! its condition.

use std::sync::Arc;

use sqlx::{PgConnection, SqlStr};

use super::{
    super::{
        abandoned::{OpenTransaction, Watched},
        pin::{begin_fixed_sql, begin_pinned_sql},
        replicas::{Lsn, Seen, look},
        scheduler::Time,
        server::Server,
        session::{Doubt, Session},
        session_error::leaves_session_usable,
    },
    Condition, Effect, Lease,
};
use crate::{
    error::{Error, ErrorClass, ErrorKind, is_read_only},
    event::{Event, PoolError},
};

/// Whether a connection still leads to the primary, as far as is known.
#[derive(Debug)]
pub(crate) struct PrimaryCheck {
    server: Arc<Server>,
    /// When the connection was opened.
    opened: Time,
}

impl PrimaryCheck {
    /// Refuses the commit of a transaction that was begun before a failover: the present primary would never get it.
    pub(crate) fn refuse_former(&self) -> Result<(), Error> {
        match self.server.is_former(self.opened) {
            false => Ok(()),
            true => {
                let attempted = "committing: another server has become the primary since the transaction began. It \
                                 was rolled back; run it again";
                let error = Error::new(ErrorKind::Unavailable, attempted);
                Err(error.with_class(Some(ErrorClass::Connection)))
            }
        }
    }
}

impl Lease {
    /// Pings the server.
    ///
    /// # Cancel safety
    ///
    /// When dropped midway, the session counts as dirty.
    pub(crate) async fn ping(&mut self) -> sqlx::Result<()> {
        let answer = self.start().ping().await;
        self.finish(Effect::OnData, &answer);
        answer
    }

    /// Asks the server where it is in its log.
    ///
    /// # Cancel safety
    ///
    /// When dropped midway, the session counts as dirty.
    pub(in crate::pool) async fn look(&mut self) -> sqlx::Result<Seen> {
        let seen = look(&mut self.start().conn).await;
        self.finish(Effect::OnData, &seen);
        seen
    }

    /// Returns where a replica was in the log when the session was bound.
    pub(in crate::pool) fn bound_at(&self) -> Option<Lsn> {
        self.session().replayed().and_then(|replayed| replayed.lsn)
    }

    /// Returns when its server was started, which tells servers apart.
    pub(in crate::pool) fn server_started(&self) -> Option<i64> {
        self.session().server_started()
    }

    /// Returns a check whether its server is still the primary, as far as is known.
    pub(crate) fn primary_check(&self) -> PrimaryCheck {
        let opened = self.session().identity.opened();
        PrimaryCheck { server: Arc::clone(&self.server), opened }
    }

    /// Begins a statement: until [`finish`](Self::finish), the state of the session is unknown.
    pub(crate) fn start(&mut self) -> &mut Session {
        self.condition = Condition::Dirty;
        self.is_settled = false;
        self.session_mut()
    }

    /// Returns `true` if its server was in recovery when the connection was opened.
    pub(crate) fn is_on_standby(&self) -> bool {
        self.session().identity.is_on_standby()
    }

    /// Returns `true` if a write that is refused may be accepted on another connection.
    fn may_be_misled(&self) -> bool {
        self.is_on_standby() || self.server.has_lineage()
    }

    /// Returns `true` if the error comes from a server in recovery, or one that is fenced, and another connection may lead
    /// to the primary.
    pub(crate) fn wants_primary(&self, error: &sqlx::Error) -> bool {
        self.may_be_misled() && is_read_only(error) && !self.is_current()
    }

    /// Ends a statement whose response was read completely.
    pub(crate) fn finish<T>(&mut self, effect: Effect, result: &sqlx::Result<T>) {
        if let Err(error) = result {
            if self.may_be_misled() && is_read_only(error) {
                self.server.leave_standby();
            }
            if !leaves_session_usable(error) {
                return self.break_with(error);
            }
            self.server.note_error_of_node(self.tenant(), error);
        }
        self.note_answer();
        self.is_settled = true;
        let is_fleeting = self.is_fleeting();
        self.condition = match effect {
            Effect::OnData if self.occupant.is_unruly() => Condition::Dirty,
            Effect::OnData if !is_fleeting => Condition::Clean,
            // Its transaction has to be ended.
            Effect::OnData => {
                self.condition = Condition::Dirty;
                return;
            }
            Effect::OnSession => Condition::Dirty,
        };
        if is_fleeting {
            self.session_mut().note_traces();
        }
        if self.condition == Condition::Clean && result.is_err() {
            // sqlx may have prepared a statement without recording it.
            self.session_mut().touch();
        }
    }

    /// Records that the connection broke with this error, and reports it.
    fn break_with(&mut self, error: &sqlx::Error) {
        let lost = PoolError::new(self.tenant(), "running a statement", error);
        let class = lost.class;
        self.server.observer.tell(Event::PoolError(lost));
        self.condition = Condition::Broken;
        if class.is_transient() {
            self.server.suspect_all();
        }
    }

    /// Makes the next bind inspect the occupant's schemas again: their objects may have changed.
    pub(crate) fn doubt_alike(&self) {
        self.occupant.doubt_alike();
    }

    /// Records that a statement was abandoned and its outcome is unknown.
    pub(crate) fn doubt(&mut self) {
        self.condition = Condition::Dirty;
        self.server.suspect_all();
    }

    /// Returns the statement that begins a transaction, if it is more than a plain `begin`: the
    /// caller's statement, and a pin of the schema where transactions need one.
    pub(crate) fn begin_sql(&self, begin: Option<SqlStr>) -> Option<SqlStr> {
        let of = &self.occupant;
        if let Some(counting) = self.counting_sql() {
            return Some(counting);
        }
        match of.pinned().filter(|_| of.is_always_pinned()) {
            Some(pinned) => Some(begin_pinned_sql(begin.as_ref(), pinned)),
            None => match begin {
                Some(begin) if self.only_reads && !self.is_on_standby() => {
                    Some(begin_fixed_sql(&begin))
                }
                begin => begin,
            },
        }
    }

    /// Begins a transaction: until [`succeed`](Self::succeed), operations on the connection may
    /// have failed.
    pub(crate) fn attempt(&mut self) -> &mut PgConnection {
        self.doubt = Doubt::Failed;
        self.hand_out()
    }

    /// Returns the connection of a transaction that was [begun](Self::attempt), to end it.
    pub(crate) fn in_use(&mut self) -> &mut PgConnection {
        self.hand_out()
    }

    /// Records that all operations on the connection have succeeded.
    pub(crate) fn succeed(&mut self) {
        self.doubt = Doubt::None;
    }

    /// Records that a transaction was begun that its user has to end.
    pub(crate) fn note_open(&mut self, watched: Option<Arc<Watched>>) {
        self.open = OpenTransaction::new(watched);
    }

    /// Records that the user of the transaction ends it.
    pub(crate) fn note_ended(&mut self) {
        self.open = OpenTransaction::None;
    }

    /// Records that the connection broke.
    pub(crate) fn lose(&mut self) {
        self.condition = Condition::Broken;
        self.server.suspect_all();
    }
}
