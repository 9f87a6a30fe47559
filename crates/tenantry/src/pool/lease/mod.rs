//! A connection while it is checked out.
//!
//! A lease prepares its session, tracks how it is used, and returns it accordingly. Handles run
//! statements on it, applications hold it, and maintenance makes it serve one schema after the
//! other.

mod fleeting;
mod prepare;
mod statement;
mod upkeep;

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use sqlx::{Connection, PgConnection, Postgres, SqlSafeStr, Transaction};
use tracing::Span;

pub(crate) use self::statement::PrimaryCheck;
use super::{
    abandoned::OpenTransaction,
    answer::Grant,
    holder::Holder,
    occupant::Occupant,
    scheduler::{ConnId, How, Time},
    server::Server,
    session::{Doubt, Session},
    writing::Writing,
};
use crate::{
    event::{Event, LongLease},
    tenant::TenantId,
};

/// A connection of the pool that is bound to one tenant while this value lives.
///
/// It dereferences to [`sqlx::PgConnection`], so every sqlx operation on a connection works:
/// `copy_in_raw` copies, [`begin`](Self::begin) opens a transaction, and `&mut *lease` or
/// `&mut lease` is an [`Executor`](sqlx::Executor) and an [`Acquire`](sqlx::Acquire). It replaces
/// `PoolConnection<Postgres>`.
///
/// # Return to the pool
///
/// Dropping it returns the connection and never blocks. A lease that gave mutable access to its
/// connection may have left any state behind, so its session is reset in the background before its
/// next use, even by the same tenant. An abandoned statement is read to its end, or cancelled if
/// that takes long; a connection that cannot be cleaned up is closed. No call is needed.
#[must_use = "a lease gives its connection back when it is dropped"]
pub struct Lease {
    server: Arc<Server>,
    conn: ConnId,
    /// How the connection was prepared for the occupant.
    how: How,
    occupant: Arc<Occupant>,
    /// The occupant that a maintenance lease serves now.
    serves: Option<Arc<Occupant>>,
    /// `true` if the connection is closed at the end, because no other occupant may have it.
    retires: bool,
    /// Always `Some` until the lease is dropped.
    session: Option<Session>,
    condition: Condition,
    doubt: Doubt,
    since: Time,
    used_by: UsedBy,
    /// `true` if the holding task is recorded in the session.
    held: bool,
    open: OpenTransaction,
    /// Records that reads of the tenant have to see what its user writes.
    writing: Option<Writing>,
    /// `false` while something may run on it that can still be committed after its end.
    is_settled: bool,
    /// `true` if it is for a transaction of a handle for reading.
    only_reads: bool,
    span: Span,
}

/// The user of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UsedBy {
    /// A handle or the pool, which report each statement.
    Pool,
    /// The caller that received the connection.
    Caller,
}

/// How a lease returns its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    GivenBack,
    Cleaned,
    Closed,
    /// Closed although a statement may still be running on it.
    ClosedBusy,
}

/// What a statement may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Only data: the session is unchanged.
    OnData,
    /// The session may have new state.
    OnSession,
}

/// The known condition of a leased session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// It is bound to the occupant, and nothing was changed since.
    Clean,
    /// It must be bound again before its next use: it was never bound, or may have been changed.
    Dirty,
    /// The application's hook runs on it.
    InHook,
    /// The connection is lost.
    Broken,
}

impl Server {
    /// Takes back a connection that is not needed any more.
    pub(super) fn take_back(self: &Arc<Self>, grant: Grant) {
        drop(Lease::new(Arc::clone(self), grant));
    }
}

impl Lease {
    pub(super) fn new(server: Arc<Server>, grant: Grant) -> Self {
        let Grant { conn, how, session, occupant, since } = grant;
        // The scheduler decides which occupant should have it; the session knows which one has it.
        // Only if they agree is there nothing to do.
        let bound = session.is_bound_to(&occupant) || session.is_at_rest();
        let condition = if bound { Condition::Clean } else { Condition::Dirty };
        Self {
            server,
            conn,
            how,
            occupant,
            serves: None,
            retires: false,
            session: Some(session),
            condition,
            doubt: Doubt::None,
            since,
            used_by: UsedBy::Pool,
            held: false,
            open: OpenTransaction::None,
            writing: None,
            is_settled: true,
            only_reads: false,
            span: Span::none(),
        }
    }

    /// Records that the current task holds the connection.
    pub(crate) fn note_holder(&mut self) {
        if !self.occupant.may_nest() {
            self.held = true;
            self.session().held.set(Some(Holder::current()));
        }
    }

    /// Records, at the end, that its user may have written something.
    pub(super) fn writing(mut self, writing: Writing) -> Self {
        self.writing = Some(writing);
        self
    }

    /// Records that what its user writes can be committed at any time before the end.
    pub(crate) fn writes_at_any_time(&mut self) {
        if let Some(writing) = &mut self.writing {
            writing.keep_open();
        }
    }

    /// Makes its transaction one that cannot be made writable.
    pub(super) fn only_reading(mut self) -> Self {
        self.only_reads = true;
        self
    }

    /// Returns what records writes, if something can still be committed after the end of the lease.
    fn take_unsettled(&mut self) -> Option<Writing> {
        let mut writing = self.writing.take_if(|_| !self.is_settled)?;
        writing.keep_open();
        Some(writing)
    }

    /// Returns the pool that the connection belongs to.
    pub(crate) fn pool(&self) -> &Arc<Server> {
        &self.server
    }

    /// Returns the occupant that the connection was checked out for.
    pub(crate) fn occupant(&self) -> &Arc<Occupant> {
        &self.occupant
    }

    pub(super) fn how(&self) -> How {
        self.how
    }

    /// Opens the span of the lease, in the task that holds it from now on.
    pub(super) fn open_span(mut self) -> Self {
        self.span = tracing::debug_span!(
            target: "tenantry::lease",
            "lease",
            tenant = self.occupant.tenant().map(TenantId::as_str),
            schema = &**self.occupant.schema(),
        );
        self
    }

    /// Returns the tenant that the connection is bound to; `None` for the shared schema.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        self.serves.as_ref().unwrap_or(&self.occupant).tenant()
    }

    /// Returns the process id of the server process, as shown in `pg_stat_activity`.
    #[must_use]
    pub fn backend_pid(&self) -> Option<i32> {
        self.session().backend
    }

    /// Begins a transaction on the connection, like [`sqlx::Connection::begin`].
    ///
    /// This is an inherent method because both [`sqlx::Connection`] and [`sqlx::Acquire`] have one
    /// of this name. [`TenantDb::begin`](crate::TenantDb::begin) acquires a connection and begins
    /// in one call.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(db: tenantry::TenantDb) -> sqlx::Result<()> {
    /// let mut lease = db.acquire().await?;
    /// let mut tx = lease.begin().await?;
    /// sqlx::query("delete from drafts").execute(&mut *tx).await?;
    /// tx.commit().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// The server's error.
    ///
    /// # Cancel safety
    ///
    /// Safe except for this lease: when dropped midway, its session may be inside a transaction,
    /// which ends with the lease. Drop the lease, too.
    pub async fn begin(&mut self) -> sqlx::Result<Transaction<'_, Postgres>> {
        Connection::begin(&mut **self).await
    }

    /// Begins a transaction with this statement, such as `begin isolation level serializable`.
    ///
    /// # Errors
    ///
    /// The server's error, and [`sqlx::Error::BeginFailed`] when the statement does not begin a
    /// transaction.
    ///
    /// # Cancel safety
    ///
    /// Like [`begin`](Self::begin).
    pub async fn begin_with(
        &mut self,
        statement: impl SqlSafeStr,
    ) -> sqlx::Result<Transaction<'_, Postgres>> {
        Connection::begin_with(&mut **self, statement).await
    }

    /// Returns the span of the lease, at level `DEBUG`, with the tenant and its schema.
    ///
    /// Statements on a handle, except streams, run inside it. Instrument statements on a lease with
    /// it, so that sqlx's own events about them carry the tenant.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }

    fn hand_out(&mut self) -> &mut PgConnection {
        self.used_by = UsedBy::Caller;
        let session = self.start();
        session.identity.hand_out();
        &mut session.conn
    }

    fn note_answer(&mut self) {
        let now = self.server.now();
        if let Some(session) = &mut self.session {
            session.note_answer(now);
        }
    }

    /// Reports how long the connection was held.
    fn note_end(&self, session: &Session) {
        let observer = &self.server.observer;
        if self.used_by == UsedBy::Pool && !observer.meters.is_timed() {
            return;
        }
        let held = self.server.now().saturating_sub(self.since);
        observer.meters.held(held);
        if self.used_by == UsedBy::Caller && observer.is_slow(held) {
            observer.tell(Event::LongLease(LongLease {
                tenant_id: self.occupant.tenant().cloned(),
                schema: Arc::clone(self.occupant.schema()),
                backend_pid: session.backend,
                duration: held,
                server: None,
            }));
        }
    }

    /// Records in the session how it was used.
    fn note_use(&self, session: &mut Session) {
        if self.held {
            session.held.set(None);
        }
        if self.used_by == UsedBy::Caller {
            session.note_handed_out();
        }
        if self.doubt != Doubt::None && session.identity.is_on_standby() {
            // Errors seen only by the user are unknown here: one may have been a refused write.
            self.server.leave_standby();
        }
        session.doubt(self.doubt);
        if self.condition != Condition::Clean {
            session.touch();
        }
    }

    fn ending(&self, session: &Session) -> End {
        match self.condition {
            Condition::InHook => End::ClosedBusy,
            Condition::Broken => End::Closed,
            Condition::Clean | Condition::Dirty if self.retires => End::Closed,
            Condition::Clean if !session.must_be_unpinned() => End::GivenBack,
            Condition::Clean | Condition::Dirty => End::Cleaned,
        }
    }

    fn session(&self) -> &Session {
        self.session.as_ref().expect(ALWAYS_THERE)
    }

    fn session_mut(&mut self) -> &mut Session {
        self.session.as_mut().expect(ALWAYS_THERE)
    }
}

const ALWAYS_THERE: &str = "only dropping the lease takes the session";

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.session().conn
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        if self.doubt == Doubt::None {
            self.doubt = Doubt::HandedOut;
        }
        self.hand_out()
    }
}

impl AsMut<PgConnection> for Lease {
    fn as_mut(&mut self) -> &mut PgConnection {
        self
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else {
            return;
        };
        self.note_end(&session);
        self.note_use(&mut session);
        let writing = self.take_unsettled();
        let (server, conn) = (&self.server, self.conn);
        match self.ending(&session) {
            End::GivenBack => server.give_back(conn, session),
            End::Cleaned => {
                let open = std::mem::take(&mut self.open);
                server.clean_later(conn, session, Arc::clone(&self.occupant), open, writing);
            }
            End::Closed => server.close_lease(conn, session, writing),
            End::ClosedBusy => server.close_busy_lease(conn, session, writing),
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("occupant", &self.occupant.id)
            .field("backend_pid", &self.session().backend)
            .finish_non_exhaustive()
    }
}
