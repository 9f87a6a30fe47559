//! Leases that are one transaction.

use std::sync::Arc;

use sqlx::{SqlSafeStr, SqlStr, postgres::PgTransactionManager, raw_sql};
use sqlx_core::transaction::TransactionManager;

use super::{
    super::{
        fleeting::{Open, Settled, explain, over},
        occupant::Occupant,
        server::Server,
        session::{Purpose, Session},
    },
    Condition, Effect, Lease,
};
use crate::event::{Event, PoolError};

/// Has sqlx count a transaction that is open.
const COUNT_IT: &str = "close all";

/// Commits a transaction on a connection that is cleaned up afterwards, in one round trip.
///
/// `close all` stands for any statement that a failed transaction refuses: the rest of the string
/// is then not executed, while a lone `commit` would roll back and report success. sqlx, whose
/// count of open transactions is private, still considers the transaction open. The rollback that
/// it sends ahead of the reset ends the empty transaction that is begun last, which avoids a
/// warning in the server's log.
const COMMIT: &str = "close all; commit; begin";

impl Lease {
    /// Returns `true` if it is one transaction, which has begun.
    pub(crate) fn is_fleeting(&self) -> bool {
        self.session().is_fleeting()
    }

    /// Returns the pool of direct connections, if it is one transaction behind a pooler.
    pub(crate) fn direct(&self) -> Option<Arc<Server>> {
        self.server.direct()
    }

    /// Begins its transaction, bound to its occupant.
    pub(in crate::pool) async fn begin_fleeting(
        &mut self,
        occupant: &Arc<Occupant>,
        purpose: Purpose,
    ) -> sqlx::Result<()> {
        let begin = match purpose {
            Purpose::Transaction(begin) | Purpose::Reading(begin) => Some(begin),
            _ => None,
        };
        let (manner, checked) = (self.server.manner(), self.server.checks_clients_behind());
        self.start().begin_fleeting(occupant, manner, begin, checked).await
    }

    /// Returns the statement by which sqlx learns of the transaction, which is open.
    pub(in crate::pool) fn counting_sql(&self) -> Option<SqlStr> {
        self.is_fleeting().then(|| COUNT_IT.into_sql_str())
    }

    /// Ends a statement that has succeeded: commits, if it has a transaction of its own.
    ///
    /// # Errors
    ///
    /// The server's error, such as that of a deferred constraint. Nothing is committed then, unless
    /// the connection has broken.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the statement may or may not be committed.
    pub(crate) async fn conclude(&mut self) -> sqlx::Result<()> {
        if !self.is_fleeting() {
            return Ok(());
        }
        let committed = self.start().commit_fleeting().await;
        self.finish(Effect::OnSession, &committed);
        if committed.is_ok() {
            self.condition = Condition::Clean;
        }
        committed
    }

    /// Returns the string that commits its transaction, and returns the connection to a state that
    /// can be cleaned up in the background.
    pub(crate) fn commit_sql(&self) -> SqlStr {
        self.session().commit_handed_out_sql().unwrap_or_else(|| COMMIT.into_sql_str())
    }

    /// Records the outcome of [`commit_sql`](Self::commit_sql), and translates its error.
    pub(crate) fn note_commit(&mut self, committed: sqlx::Result<()>) -> sqlx::Result<()> {
        let is_fleeting = self.is_fleeting();
        self.session_mut().note_end(&committed, Open::Committed);
        committed.map_err(|error| if is_fleeting { explain(error) } else { error })
    }

    /// Returns the string that rolls its transaction back, if it is more than a rollback. Like
    /// [`commit_sql`](Self::commit_sql), it leaves a transaction that sqlx counts.
    pub(crate) fn rollback_sql(&self) -> Option<SqlStr> {
        self.session().roll_back_handed_out_sql()
    }

    /// Records the outcome of [`rollback_sql`](Self::rollback_sql).
    pub(crate) fn note_rollback(&mut self, rolled_back: &sqlx::Result<()>) {
        self.session_mut().note_end(rolled_back, Open::RolledBack);
    }

    /// Rolls its transaction back.
    pub(crate) async fn roll_back(&mut self) -> sqlx::Result<()> {
        let Some(sql) = self.rollback_sql() else {
            return PgTransactionManager::rollback(self.in_use()).await;
        };
        let rolled_back = raw_sql(sql).execute(self.in_use()).await.map(drop);
        self.note_rollback(&rolled_back);
        rolled_back
    }

    /// Returns `true` if the error comes from a type that was replaced since the connection has looked it up by name. Other
    /// leases of the tenant look up again from now on.
    pub(crate) fn has_old_types(&self, error: &sqlx::Error) -> bool {
        let has_old_types = self.is_fleeting() && self.session().is_stale_statement(error);
        if has_old_types {
            self.occupant.note_change();
        }
        has_old_types
    }
}

impl Server {
    /// Ends the transaction that a lease has left. Returns `true` if the connection can be used again.
    pub(in crate::pool) async fn settle(&self, session: &mut Session, occupant: &Occupant) -> bool {
        match session.settle_fleeting().await {
            Ok(Settled::Fine) => {
                session.note_answer(self.now());
                true
            }
            Ok(Settled::WasOver) => {
                let error = occupant.name(over(None)).into();
                self.report(occupant, &error);
                false
            }
            Err(error) => {
                self.report(occupant, &error);
                self.suspect_all();
                false
            }
        }
    }

    fn report(&self, occupant: &Occupant, error: &sqlx::Error) {
        let failed = PoolError::new(occupant.tenant(), "ending a transaction", error);
        self.observer.tell(Event::PoolError(failed));
    }
}
