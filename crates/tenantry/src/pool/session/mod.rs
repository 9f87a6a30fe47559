mod after_bind;
mod ask_each;
mod bind;
mod fleeting;
mod open;
mod purpose;
mod statements;
mod wear;

use std::{sync::Arc, time::Duration};

use sqlx::{
    Connection, Executor, PgConnection, Row,
    postgres::{PgDatabaseError, PgRow},
    raw_sql,
};
use tokio::time::{Instant, sleep};

pub(super) use self::statements::Doubt;
use self::{after_bind::Plain, statements::Statements, wear::Wear};
pub(crate) use self::{
    ask_each::{Answers, Question},
    purpose::Purpose,
};
use super::{
    credentials::{Login, LoginOf},
    deadline::within,
    fleeting::Fleeting,
    holder::Held,
    occupant::Occupant,
    options::PoolOptions,
    pin::Pin,
    pooling::Identity,
    reset::Replayed,
    rows::row_with,
    scheduler::Time,
    session_error::lost,
};
use crate::tenant::Ident;

/// One connection to the server and the known state of its session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) conn: PgConnection,
    /// Its state if it is bound for one transaction at a time. Then it is never bound otherwise.
    fleeting: Option<Box<Fleeting>>,
    /// The backend behind it.
    pub(super) identity: Box<Identity>,
    /// `true` if the backend has not been asked yet who it is: the first [`bind`](Self::bind) does.
    is_unasked: bool,
    /// `None` until the first [`bind`](Self::bind) and during one.
    bound: Option<Bound>,
    /// `true` if an extension schema was missing when it was opened.
    lacks_extensions: bool,
    /// Its state without any tenant's settings, known once a hook has run.
    plain: Option<Box<Plain>>,
    /// Owner of its login; `None` if it is the manager's.
    login: Option<LoginOf>,
    /// The database that it is in for its life, if it is not the manager's.
    home: Option<Box<Ident>>,
    /// The OID of that database, known after the first bind to a tenant in it.
    database: Option<u32>,
    statements: Statements,
    /// `true` if plans inside functions may have been made under settings other than the server's.
    odd_plans: bool,
    /// The process id of the backend, known after the first bind.
    pub(crate) backend: Option<i32>,
    /// `true` if the server reads backslashes as escapes by default, known after the first bind.
    escapes: Option<bool>,
    /// When the session was last returned, or was opened.
    pub(crate) seen: Time,
    /// `true` if the server can detect disconnected clients.
    checks_clients: bool,
    /// `true` if it was used in a way that only a thorough reset undoes.
    touched: bool,
    /// When the server last answered since the session was returned.
    answered: Option<Time>,
    /// The round-trip time of the message in which the backend was asked who it is.
    pub(super) round_trip: Option<Duration>,
    /// What a replica has said about itself in the last bind.
    replayed: Option<Replayed>,
    /// `true` once that was heard.
    is_heard: bool,
    /// How long the server took to start its process and to log in.
    pub(super) opened_in: Duration,
    wear: Wear,
    /// The `application_name` that it was opened with.
    name: Box<str>,
    /// The task that holds it.
    pub(crate) held: Held,
    /// What the last bind has left out.
    #[cfg(test)]
    broken: super::broken::Broken,
}

/// The occupant of a session.
#[derive(Debug)]
struct Bound {
    to: Arc<Occupant>,
    /// Number of changes to its tables when the session was bound.
    changes: u32,
    /// The version of its limits when the session was bound.
    limits: u64,
    /// When its schema was last seen to have its name.
    seen_as: Instant,
    /// `true` if its hook has run since, or there is none.
    hooked: bool,
    /// `true` if the session holds the pin of its schema.
    pinned: bool,
}

/// How long an idle session keeps the pin that a lease has left. The name of a tenant that is
/// dropped meanwhile is held back for longer in any case.
const PINNED_IN_VAIN: Duration = Duration::from_secs(3);

/// How soon the server ends a statement whose client has disconnected.
pub(super) const CONNECTION_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Timeout for a clean disconnect.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

type Result<T, E = sqlx::Error> = std::result::Result<T, E>;

impl Bound {
    fn is_to(&self, occupant: &Arc<Occupant>) -> bool {
        self.has_statements_of(occupant) && self.limits == occupant.limits.version()
    }

    /// Returns `true` if the session was bound to the occupant, and its tables were not changed since.
    fn has_statements_of(&self, occupant: &Arc<Occupant>) -> bool {
        Arc::ptr_eq(&self.to, occupant) && self.changes == occupant.changes()
    }

    /// Returns `true` if the occupant's schema was recently seen to have its name, or its key to be
    /// its own.
    fn is_known_as(&self, occupant: &Occupant, now: Instant, on_standby: bool) -> bool {
        occupant.is_known_for(now.duration_since(self.seen_as), now, on_standby)
    }
}

impl Session {
    /// Returns `true` if its backend has not been asked yet who it is.
    pub(super) fn is_unasked(&self) -> bool {
        self.is_unasked
    }

    /// Returns `true` if it is bound: the last [`bind`](Self::bind) has finished.
    pub(super) fn is_bound(&self) -> bool {
        self.bound.is_some()
    }

    pub(crate) fn is_bound_to(&self, occupant: &Arc<Occupant>) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.is_to(occupant))
    }

    /// Returns `true` if a session bound to the occupant can be used for this purpose without
    /// further work.
    pub(super) fn is_ready_for(&self, occupant: &Occupant, purpose: Purpose, now: Instant) -> bool {
        self.bound.as_ref().is_some_and(|bound| {
            bound.hooked
                && bound.is_known_as(occupant, now, self.identity.is_on_standby())
                && (bound.pinned || purpose.pin(occupant) == Pin::No)
                && !(self.statements.are_borrowed() && purpose.wants_own_statements())
        })
    }

    /// Returns `true` if it is bound, and the occupant's schema was recently seen to have its name, or
    /// its key to be its own.
    pub(super) fn is_known_as(&self, occupant: &Occupant, now: Instant) -> bool {
        let on_standby = self.identity.is_on_standby();
        self.bound.as_ref().is_some_and(|bound| bound.is_known_as(occupant, now, on_standby))
    }

    /// Returns `true` if the application's hook has run since the session was bound, or there is
    /// none.
    pub(super) fn is_hooked(&self) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.hooked)
    }

    /// Returns `true` if it has the login that the occupant requires, and is in its database.
    pub(super) fn is_logged_in_for(&self, occupant: &Occupant) -> bool {
        self.login.as_ref() == occupant.login().map(Login::of) && self.is_at_home(occupant)
    }

    /// Returns `true` if it is in the database of the occupant.
    pub(super) fn is_at_home(&self, occupant: &Occupant) -> bool {
        self.home.as_deref() == occupant.home().database()
    }

    /// Returns `true` if it is in this database, which is not the one in the server's URL.
    pub(super) fn is_in(&self, database: &Ident) -> bool {
        self.home.as_deref() == Some(database)
    }

    pub(super) fn note_login(&mut self, of: &LoginOf) {
        self.login = Some(of.clone());
    }

    /// Returns `true` if the pin must be removed before the session is idle, because a drop waits
    /// for it.
    pub(super) fn must_be_unpinned(&self) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.pinned && bound.to.is_always_pinned())
    }

    /// Returns `true` if it holds a pin that has been unused for a while.
    pub(super) fn is_pinned_in_vain(&self) -> bool {
        let in_vain = |bound: &Bound| bound.pinned && bound.seen_as.elapsed() >= PINNED_IN_VAIN;
        self.bound.as_ref().is_some_and(in_vain)
    }

    /// Makes the next reset remove the pin.
    pub(super) fn unpin(&mut self) {
        if let Some(bound) = &mut self.bound {
            bound.pinned = false;
        }
    }

    /// Records that the session may have state that only a thorough reset removes.
    pub(super) fn touch(&mut self) {
        self.touched = true;
    }

    /// Returns `true` if it may have state that only a thorough reset removes.
    pub(super) fn is_touched(&self) -> bool {
        self.touched
    }

    /// Returns `true` if the server process behind it has grown too large.
    pub(super) fn is_worn_out(&self, options: &PoolOptions) -> bool {
        self.wear.is_too_much(options)
    }

    /// Counts tables that were read without a bind to their schema.
    pub(super) fn wear(&mut self, tables: usize) {
        self.wear.read(tables);
    }

    /// Checks that the same server process still answers, within a limit.
    pub(super) async fn show_life(&mut self, limit: Duration) -> Result<()> {
        within(limit, self.ping()).await
    }

    /// Checks that the same server process still answers, in one round trip.
    pub(crate) async fn ping(&mut self) -> Result<()> {
        let who = "select pg_catalog.pg_backend_pid()";
        let rows = self.conn.fetch_all(raw_sql(who)).await?;
        let [row] = &rows[..] else {
            return Err(lost("the response to a ping is missing"));
        };
        // The pooler chooses a process for each transaction.
        if self.is_fleeting() { Ok(()) } else { self.identity.compare(row.try_get(0)?) }
    }

    /// Returns `true` if the open transaction has changed something, or has locked rows.
    pub(super) async fn has_changed(&mut self) -> Result<bool> {
        let sql =
            "select pg_catalog.pg_current_xact_id_if_assigned() is not null as tenantry_changed";
        let rows = self.conn.fetch_all(raw_sql(sql)).await?;
        row_with("tenantry_changed", &rows).map_or(Ok(false), |row: &PgRow| row.try_get(0))
    }

    /// Records when the server answered.
    pub(super) fn note_answer(&mut self, at: Time) {
        self.answered = Some(at);
    }

    /// Returns when the server last answered since the previous call.
    pub(super) fn take_answer(&mut self) -> Option<Time> {
        self.answered.take()
    }

    /// Returns what a replica has said about itself in the last bind.
    pub(super) fn replayed(&self) -> Option<Replayed> {
        self.replayed
    }

    /// Returns `true` for the first caller: a replica has not said before, on this session, where it is.
    pub(super) fn is_first_heard(&mut self) -> bool {
        !std::mem::replace(&mut self.is_heard, true)
    }

    /// Returns when the server behind it was started, which tells servers apart.
    pub(super) fn server_started(&self) -> Option<i64> {
        self.identity.backend().map(|backend| backend.server_started())
    }

    /// Returns `true` if the error may come from a prepared statement that no longer matches, and
    /// would not recur after [`forget_statements`](Self::forget_statements).
    ///
    /// `0A000` has many causes; it is this one only when `RevalidateCachedQuery` raised it. If
    /// statements were prepared for another tenant, any error of class 42 is suspicious: types of
    /// the same name that the tenants' schemas have got since the last inspection are looked up by
    /// name only once.
    pub(crate) fn is_stale_statement(&self, error: &sqlx::Error) -> bool {
        let sqlx::Error::Database(error) = error else {
            return false;
        };
        let Some(error) = error.try_downcast_ref::<PgDatabaseError>() else {
            return false;
        };
        match error.code() {
            "0A000" => error.routine() == Some("RevalidateCachedQuery"),
            // The statement was deallocated behind sqlx's back.
            "26000" => true,
            // A type that sqlx knew by name was dropped.
            "XX000" => error.message().starts_with("cache lookup failed for type"),
            code => self.statements.are_borrowed() && code.starts_with("42"),
        }
    }

    /// Records that a caller may have prepared statements on the connection.
    pub(super) fn note_handed_out(&mut self) {
        self.statements.note_handed_out();
        self.odd_plans = true;
    }

    /// Records what may have happened to statements before the next [`bind`](Self::bind).
    pub(super) fn doubt(&mut self, doubt: Doubt) {
        if self.statements.are_spoilt_by(doubt) {
            self.statements.distrust();
            self.suspect_alike();
        }
    }

    /// Drops every prepared statement, because one of them no longer matched.
    pub(crate) async fn forget_statements(&mut self) -> Result<()> {
        self.statements.share_none();
        self.suspect_alike();
        self.clear_statements().await
    }

    fn suspect_alike(&self) {
        if let Some(bound) = &self.bound {
            bound.to.suspect_alike();
        }
    }

    async fn clear_statements(&mut self) -> Result<()> {
        self.statements.clear();
        self.conn.clear_cached_statements().await
    }

    /// Terminates the session and closes the socket.
    pub(crate) async fn close(self) -> Result<()> {
        let Self { conn, identity, .. } = self;
        // Before the termination: a pooler in session mode then gives the backend to another
        // client.
        drop(identity);
        conn.close().await
    }

    /// Closes the connection within a timeout, and gives the server a moment to end its process.
    pub(super) async fn disconnect(self, linger: Duration) {
        if within(CLOSE_TIMEOUT, self.close()).await.is_err() {
            tracing::debug!("a connection was closed without a termination message");
        }
        sleep(linger).await;
    }
}
