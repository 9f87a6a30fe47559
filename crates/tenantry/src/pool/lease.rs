use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use sqlx::{
    Connection, Executor, PgConnection, Postgres, SqlSafeStr, SqlStr, Transaction, raw_sql,
};
use tokio::time::Instant;
use tracing::Span;

use super::{
    abandoned::{OpenTransaction, Watched},
    answer::Grant,
    credentials::Credentials,
    holder::Holder,
    hook::is_of_hook,
    occupant::Occupant,
    pin::begin_pinned_sql,
    scheduler::{Class, ConnId, How, Time},
    server::{Place, Returning, Server},
    session::{Answers, Doubt, Purpose, Question, Session},
    session_error::leaves_session_usable,
};
use crate::{
    error::{Error, ErrorKind, is_read_only},
    event::{Event, LongLease, PoolError},
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
    /// `true` while the application's hook runs on the session.
    in_hook: bool,
    /// Always `Some` until the lease is dropped.
    session: Option<Session>,
    condition: Condition,
    doubt: Doubt,
    since: Time,
    used_by: UsedBy,
    /// `true` if the holding task is recorded in the session.
    held: bool,
    open: OpenTransaction,
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
pub(super) enum Condition {
    /// It is bound to the occupant, and nothing was changed since.
    Clean,
    /// It must be bound again before its next use: it was never bound, or may have been changed.
    Dirty,
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
        let bound = session.is_bound_to(&occupant);
        let condition = if bound { Condition::Clean } else { Condition::Dirty };
        Self {
            server,
            conn,
            how,
            occupant,
            serves: None,
            retires: false,
            in_hook: false,
            session: Some(session),
            condition,
            doubt: Doubt::None,
            since,
            used_by: UsedBy::Pool,
            held: false,
            open: OpenTransaction::None,
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

    pub(super) fn how(&self) -> How {
        self.how
    }

    /// Opens the span of the lease, in the task that holds it from now on.
    pub(super) fn open_span(mut self) -> Self {
        self.span = tracing::debug_span!(
            target: "tenantry::lease",
            "lease",
            tenant = self.occupant.tenant().map(TenantId::as_str),
            schema = &*self.occupant.schema,
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

    /// Returns `true` if the session is bound to its occupant, was recently seen alive, and is
    /// ready for this purpose.
    pub(super) fn is_ready(&self, purpose: Purpose) -> bool {
        let now = Instant::now();
        self.condition == Condition::Clean
            && !self.occupant.is_retired()
            && !self.server.is_in_doubt(self.session(), now)
            && self.is_current()
            && self.is_logged_in()
            && self.session().is_ready_for(&self.occupant, purpose, now)
    }

    /// Returns `true` if the tenant turned out to be a different one.
    pub(super) fn is_retired(&self) -> bool {
        self.occupant.is_retired()
    }

    /// Returns `true` if the connection has the login that the occupant requires.
    pub(super) fn is_logged_in(&self) -> bool {
        self.session().is_logged_in_for(&self.occupant)
    }

    /// Logs in as the occupant: closes the connection and opens another in its place in the budget.
    /// Without credentials, it uses the manager's.
    ///
    /// # Cancel safety
    ///
    /// When dropped midway, the connection is gone.
    pub(super) async fn log_in(&mut self, credentials: Option<Credentials>) -> Result<(), Error> {
        let occupant = Arc::clone(&self.occupant);
        let Some(login) = &occupant.login else {
            self.lose();
            let attempted = "taking a connection: it is logged in as somebody else";
            return Err(Error::new(ErrorKind::Unavailable, attempted));
        };
        let Some(credentials) = credentials else {
            self.start().note_login(login.of());
            return Ok(());
        };
        let Some(session) = self.session.take() else { return Ok(()) };
        self.condition = Condition::Dirty;
        self.session = Some(self.server.reopen(self.conn, session, login, &credentials).await?);
        Ok(())
    }

    /// Returns `true` if the connection may be used.
    pub(super) fn is_current(&self) -> bool {
        self.server.is_current(self.session())
    }

    /// Returns `true` if another backend has answered for a reason that is not known yet.
    pub(super) fn is_in_question(&self) -> bool {
        self.session().identity.is_in_question()
    }

    /// Closes the connection and keeps its place in the budget.
    pub(crate) async fn leave_place(mut self) -> Place {
        let place = Returning::new(Arc::clone(&self.server), self.conn);
        if let Some(session) = self.session.take() {
            session.disconnect().await;
        }
        Place::from(place)
    }

    /// Closes the connection instead of returning it.
    pub(super) fn retire(mut self) {
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
    pub(super) async fn prepare(&mut self, purpose: Purpose) -> sqlx::Result<()> {
        if self.is_ready(purpose) {
            return Ok(());
        }
        if self.occupant.is_retired() {
            return Err(self.occupant.refusal().into());
        }
        let (occupant, manner) = (Arc::clone(&self.occupant), self.server.manner());
        let began = Instant::now();
        let known = self.session().is_known_as(&occupant, began);
        let bound = self.condition == Condition::Clean && known;
        let in_doubt = self.server.is_in_doubt(self.session(), began);
        let limit = self.server.sign_of_life();
        let session = self.start();
        // A ping detects a dead connection sooner than a statement would.
        let alive = if in_doubt { session.show_life(limit).await } else { Ok(()) };
        if alive.is_err() {
            self.lose();
            self.server.look_for_dead();
            return alive;
        }
        let session = self.start();
        let result = match bound {
            true => session.make_ready(&occupant, purpose).await,
            false => session.bind(&occupant, manner, purpose).await,
        };
        let result = match result {
            Ok(()) => self.follow_up(&occupant).await,
            failed => failed,
        };
        if !bound && result.is_ok() {
            self.server.observer.rebound(occupant.whose(), began.elapsed());
        }
        match &result {
            Ok(()) => {
                self.condition = Condition::Clean;
                self.note_answer();
            }
            Err(error) if leaves_session_usable(error) => {}
            Err(error) if is_of_hook(error) => self.retires = true,
            Err(_) => self.lose(),
        }
        result
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
        self.in_hook = true;
        let result = self.start().follow_up(occupant).await;
        self.in_hook = false;
        result
    }

    /// Binds a maintenance lease to another occupant: all session state of the previous one is
    /// removed.
    ///
    /// # Cancel safety
    ///
    /// When dropped midway, the session counts as dirty.
    pub(crate) async fn serve(&mut self, occupant: &Arc<Occupant>) -> sqlx::Result<()> {
        self.now_serves(occupant);
        let manner = self.server.manner();
        let bound = self.start().bind(occupant, manner, Purpose::Upkeep).await;
        self.finish(Effect::OnSession, &bound);
        bound
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
        let manner = self.server.manner();
        let asked = self.start().ask_each(occupants, question, manner, answers).await;
        self.finish(Effect::OnSession, &asked);
        asked
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

    /// Begins a statement: until [`finish`](Self::finish), the state of the session is unknown.
    pub(crate) fn start(&mut self) -> &mut Session {
        self.condition = Condition::Dirty;
        self.session.as_mut().expect(ALWAYS_THERE)
    }

    /// Returns `true` if its server was in recovery when the connection was opened.
    pub(crate) fn is_on_standby(&self) -> bool {
        self.session().identity.is_on_standby()
    }

    /// Returns `true` if the error comes from a server in recovery, and another connection may lead
    /// to the primary.
    pub(crate) fn wants_primary(&self, error: &sqlx::Error) -> bool {
        self.is_on_standby() && is_read_only(error) && !self.is_current()
    }

    /// Ends a statement whose response was read completely.
    pub(crate) fn finish<T>(&mut self, effect: Effect, result: &sqlx::Result<T>) {
        if let Err(error) = result
            && self.is_on_standby()
            && is_read_only(error)
        {
            self.server.leave_standby();
        }
        if let Err(error) = result
            && !leaves_session_usable(error)
        {
            let tenant = self.tenant();
            let lost = PoolError::new(tenant, "running a statement", error);
            let class = lost.class;
            self.server.observer.tell(Event::PoolError(lost));
            self.condition = Condition::Broken;
            if class.is_transient() {
                self.server.suspect_all();
            }
            return;
        }
        self.note_answer();
        let effect = if self.occupant.is_unruly() { Effect::OnSession } else { effect };
        match (result, effect) {
            (_, Effect::OnData) => {
                self.condition = Condition::Clean;
                if let (Err(_), Some(session)) = (result, &mut self.session) {
                    // sqlx may have prepared a statement without recording it.
                    session.touch();
                }
            }
            (_, Effect::OnSession) => self.condition = Condition::Dirty,
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
        let schema = of.binding.own().first().filter(|_| of.is_always_pinned());
        match of.oid().zip(schema) {
            Some((oid, schema)) => Some(begin_pinned_sql(begin.as_ref(), oid, schema)),
            None => begin,
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
                schema: Arc::clone(&self.occupant.schema),
                backend_pid: session.backend,
                duration: held,
            }));
        }
    }

    fn session(&self) -> &Session {
        self.session.as_ref().expect(ALWAYS_THERE)
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
        let (server, conn) = (Arc::clone(&self.server), self.conn);
        let open = std::mem::take(&mut self.open);
        match self.condition {
            _ if self.in_hook => server.close_busy_lease(conn, session),
            _ if self.retires => server.close_lease(conn, session),
            Condition::Clean if !session.must_be_unpinned() => server.give_back(conn, session),
            Condition::Clean | Condition::Dirty => {
                server.clean_later(conn, session, Arc::clone(&self.occupant), open);
            }
            Condition::Broken => server.close_lease(conn, session),
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
