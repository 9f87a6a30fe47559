mod after_bind;
mod ask_each;

use std::{collections::HashSet, io, sync::Arc, time::Duration};

use sqlx::{
    Connection, Executor, PgConnection, Row,
    postgres::{PgDatabaseError, PgRow, PgTransactionManager, types::Oid},
    raw_sql,
};
use sqlx_core::transaction::TransactionManager;
use tokio::time::{Instant, sleep};

use self::after_bind::Plain;
pub(crate) use self::ask_each::{Answers, Question};
use super::{
    backend::Backend,
    connector::Connector,
    credentials::{Credentials, Login, LoginOf},
    deadline::within,
    extensions::ExtensionSchemas,
    holder::Held,
    manner::{KeepStatements, Manner},
    occupant::{Alike, Occupant, OccupantId},
    options::PoolOptions,
    pooling::{Identity, Separation},
    reset::{Pin, Reset, Terms, Upkeep, bind_sql, draw, pin_sql},
    scheduler::Time,
    session_error::{leaves_session_usable, lost},
};
use crate::{
    error::{Error, ErrorKind},
    sql::Sql,
    tenant::{Ident, Schema, SchemaOid},
};

/// One connection to the server and the known state of its session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) conn: PgConnection,
    /// The backend behind it.
    pub(super) identity: Box<Identity>,
    /// The occupant of the session. `None` until the first [`bind`](Self::bind) and during one.
    bound: Option<Arc<Occupant>>,
    /// Number of changes to the occupant's tables at that time.
    bound_changes: u32,
    /// When the occupant's schema was last seen to have its name.
    seen_as: Instant,
    /// `true` if the application's hook has run since the session was bound, or there is none.
    hooked: bool,
    /// `true` if an extension schema was missing when it was opened.
    lacks_extensions: bool,
    /// Its state without any tenant's settings, known once a hook has run.
    plain: Option<Box<Plain>>,
    /// `true` if the session holds the pin of the occupant's schema.
    pinned: bool,
    /// Owner of its login; `None` if it is the manager's.
    login: Option<LoginOf>,
    /// The occupant whose statements are prepared on it.
    statements: Statements,
    /// `true` if some of them were prepared for another occupant.
    borrowed: bool,
    /// `true` if some were prepared while the connection was handed out, under arbitrary settings.
    handed_out: bool,
    /// `true` if plans inside functions may have been made under settings other than the server's.
    odd_plans: bool,
    /// The earliest time at which the first of them can have been prepared.
    statements_since: Instant,
    /// The process id of the backend, known after the first bind.
    pub(crate) backend: Option<i32>,
    /// When the session was last returned, or was opened.
    pub(crate) seen: Time,
    /// `true` if the server can detect disconnected clients.
    checks_clients: bool,
    /// `true` if it was used in a way that only a thorough reset undoes.
    touched: bool,
    /// When the server last answered since the session was returned.
    answered: Option<Time>,
    /// The round-trip time when it was opened.
    pub(super) round_trip: Duration,
    wear: Wear,
    /// The `application_name` that it was opened with.
    name: Box<str>,
    /// The task that holds it.
    pub(crate) held: Held,
    /// What the last bind has left out.
    #[cfg(test)]
    broken: super::broken::Broken,
}

/// Wear of a session: the server process keeps memory for everything it has served.
#[derive(Debug, Default)]
struct Wear {
    /// The serials of the occupants.
    served: HashSet<u64>,
    tables: usize,
}

/// State of the prepared-statement cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statements {
    None,
    Of(Alike),
    /// One of them may no longer match: they are dropped at the next bind.
    Doubtful,
}

/// What may have happened to prepared statements while only the user could see it.
///
/// Errors on a connection that was handed out go only to its user, including the one of a statement
/// that no longer matches its tables. If such statements were kept, the error would recur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// None: every statement was seen to succeed.
    None,
    /// The connection was handed out, and its use is unknown. The statements are dropped once they
    /// are old, so that they need not be prepared every time.
    HandedOut,
    /// Something has failed.
    Failed,
}

/// Age from which statements are dropped because a connection was handed out.
const OLD: Duration = Duration::from_secs(1);

/// The purpose of a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be idle and ready for the next request.
    Idle,
    /// One statement of a handle, which may be retried if a kept statement no longer matched.
    Statement,
    /// A transaction, in which nothing can be retried.
    Transaction,
    /// To be handed out for an indefinite time.
    Lease,
    /// The library's own work on one schema after the other.
    Upkeep,
}

impl Purpose {
    /// Returns `true` if statements prepared for other tenants have to be dropped, because an error
    /// caused by one could not be repaired.
    fn wants_own_statements(self) -> bool {
        matches!(self, Self::Transaction | Self::Lease)
    }

    fn pin(self, occupant: &Occupant) -> Pin {
        match self {
            _ if occupant.oid().is_none() => Pin::No,
            Self::Idle | Self::Upkeep => Pin::No,
            _ if occupant.is_always_pinned() => Pin::AfterDrop,
            Self::Lease => Pin::Yes,
            Self::Statement | Self::Transaction => Pin::No,
        }
    }
}

/// How long an idle session keeps the pin that a lease has left. The name of a tenant that is
/// dropped meanwhile is held back for longer in any case.
const PINNED_IN_VAIN: Duration = Duration::from_secs(3);

/// Findings of a reset.
#[derive(Debug)]
struct Found {
    /// `true` if a transaction was open although only plain queries had run; a plain reset does not
    /// end it.
    in_transaction: bool,
    /// The schema that has the occupant's name.
    schema: Schema,
    looked: bool,
}

/// Timeout for a clean disconnect.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the place of a closed connection stays occupied. The server needs a moment to end the
/// process behind it; an immediate connect would exceed the budget from the server's point of view.
const LINGER: Duration = Duration::from_millis(10);

/// The first version with `transaction_timeout`.
const TRANSACTION_TIMEOUT_SINCE: u32 = 17_00_00;

/// The first version with `client_connection_check_interval`.
const CONNECTION_CHECK_SINCE: u32 = 14_00_00;

/// How soon the server ends a statement whose client has disconnected.
pub(super) const CONNECTION_CHECK_INTERVAL: Duration = Duration::from_secs(1);

type Result<T, E = sqlx::Error> = std::result::Result<T, E>;

impl Session {
    pub(super) async fn open(
        connector: &Connector,
        login: Option<&Credentials>,
        now: Time,
        separation: &Arc<Separation>,
        extensions: &ExtensionSchemas,
    ) -> Result<Self> {
        let generation = separation.generation();
        let mut conn = connector.connect(login).await.map_err(no_server)?;
        let checks_clients = checks_clients(&mut conn).await?;
        // After the first `set`: some poolers keep the backend of a session that has changed
        // something.
        let asked = Instant::now();
        let (backend, on_standby) = Backend::ask_first(&mut conn).await?.unzip();
        let round_trip = asked.elapsed();
        let lacks_extensions = !extensions.missing(&mut conn).await?.is_empty();
        connector.prepare(&mut conn).await?;
        let mut identity = Box::new(Identity::new(separation, generation, backend));
        identity.standby_since = on_standby.unwrap_or(false).then_some(now);
        Ok(Self {
            conn,
            identity,
            checks_clients,
            bound: None,
            bound_changes: 0,
            seen_as: Instant::now(),
            hooked: false,
            lacks_extensions,
            plain: None,
            pinned: false,
            login: None,
            statements: Statements::None,
            borrowed: false,
            handed_out: false,
            odd_plans: false,
            statements_since: Instant::now(),
            backend: None,
            seen: now,
            touched: true,
            answered: None,
            round_trip,
            wear: Wear::default(),
            name: connector.options().get_application_name().unwrap_or_default().into(),
            held: Held::default(),
            #[cfg(test)]
            broken: super::broken::Broken::default(),
        })
    }

    /// Returns `true` if it is bound: the last [`bind`](Self::bind) has finished.
    pub(super) fn is_bound(&self) -> bool {
        self.bound.is_some()
    }

    pub(crate) fn is_bound_to(&self, occupant: &Arc<Occupant>) -> bool {
        self.bound.as_ref().is_some_and(|bound| Arc::ptr_eq(bound, occupant))
            && self.bound_changes == occupant.changes()
    }

    /// Binds the session to the occupant: removes all previous state, then sets its search path,
    /// role and settings. One round trip if statements may stay or there are none.
    ///
    /// # Errors
    ///
    /// The server's errors, and this crate's [`Error`] when the occupant's schema is not the one
    /// that the occupant was created for.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the session is unbound; call again.
    pub(crate) async fn bind(
        &mut self,
        to: &Arc<Occupant>,
        manner: Manner,
        purpose: Purpose,
    ) -> Result<()> {
        let same = self.is_bound_to(to);
        let changes = to.changes();
        let bound = self.bound.take();
        #[cfg(test)]
        {
            self.broken = manner.broken;
        }
        #[cfg(test)]
        if manner.broken.skips_bind(bound.as_deref(), to) {
            (self.bound, self.bound_changes) = (Some(Arc::clone(to)), changes);
            return Ok(());
        }
        if !same && bound.is_some_and(|bound| Arc::ptr_eq(&bound, to)) {
            // The tables were changed since: statements prepared for them may no longer match.
            self.statements = Statements::Doubtful;
        }
        // Until this has finished, any part may be incomplete.
        let touched = std::mem::replace(&mut self.touched, true);
        // A session that caches nothing may have its cache disabled: sqlx then leaves every
        // statement behind, and only the thorough reset looks for them.
        let plain = !touched && self.conn.cached_statements_size() > 0;
        let reset = if plain { Reset::Plain } else { Reset::Thorough };
        let pin = match (purpose, same && std::mem::take(&mut self.pinned)) {
            // The next use is likely a lease again, which then needs no round trip for the pin.
            (Purpose::Idle, true) if !to.is_always_pinned() => Pin::Yes,
            _ => purpose.pin(to),
        };
        self.pinned = false;
        self.hooked = to.after_bind.is_none();
        while self.conn.is_in_transaction() {
            // Decrements sqlx's own count of open transactions with the rollback.
            PgTransactionManager::start_rollback(&mut self.conn);
        }
        let odd = !to.binding.settings.is_empty();
        let discard = !same && (self.odd_plans || odd);
        let how = (manner, reset, discard);
        let began = Instant::now();
        let found = match self.reset_and_set(to, how, purpose, pin).await {
            Ok(found) if !found.in_transaction => found,
            Err(error) if !leaves_session_usable(&error) => return Err(error),
            // A transaction is open after all, or the failure is that of the previous statement,
            // whose response was not read, or that of the reset inside a failed transaction.
            Ok(_) | Err(_) => {
                self.settle().await?;
                let how = (manner, Reset::Thorough, discard);
                self.reset_and_set(to, how, purpose, pin).await?
            }
        };
        self.odd_plans = odd || (self.odd_plans && !discard);
        #[cfg(test)]
        let found = Found { schema: manner.broken.trust(found.schema, to), ..found };
        to.check(found.schema)?;
        self.seen_as = began;
        if !same || found.looked || self.statements == Statements::Doubtful {
            self.sort_out_statements(to, manner, same).await?;
        }
        self.pinned = pin != Pin::No;
        // Drops borrowed statements; sets the pin if the schema was not known before.
        self.make_ready(to, purpose).await?;
        if self.lacks_extensions
            && let Some(extensions) = &to.extensions
        {
            extensions.check(&mut self.conn).await?;
            self.lacks_extensions = false;
        }
        self.bound = Some(Arc::clone(to));
        self.bound_changes = changes;
        self.touched = false;
        if self.wear.served.insert(to.serial) {
            self.wear.tables += to.tables();
        }
        Ok(())
    }

    /// Returns `true` if a session bound to the occupant can be used for this purpose without
    /// further work.
    pub(super) fn is_ready_for(&self, occupant: &Occupant, purpose: Purpose, now: Instant) -> bool {
        self.hooked
            && self.is_known_as(occupant, now)
            && (self.pinned || purpose.pin(occupant) == Pin::No)
            && !(self.borrowed && purpose.wants_own_statements())
    }

    /// Returns `true` if the occupant's schema was recently seen to have its name.
    pub(super) fn is_known_as(&self, occupant: &Occupant, now: Instant) -> bool {
        occupant.is_known_for(now.duration_since(self.seen_as))
    }

    /// Prepares a session that is bound to the occupant, and known as such, for this purpose.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the session has to be bound again.
    pub(super) async fn make_ready(&mut self, occupant: &Occupant, purpose: Purpose) -> Result<()> {
        if purpose.wants_own_statements() {
            self.drop_borrowed().await?;
        }
        let pin = purpose.pin(occupant);
        if !self.pinned
            && pin != Pin::No
            && let (Some(oid), Some(schema)) = (occupant.oid(), occupant.binding.own().first())
        {
            let began = Instant::now();
            let rows = self.conn.fetch_all(raw_sql(pin_sql(pin, oid, schema))).await?;
            let schema = schema_in(row_with("tenantry_pinned", &rows))?;
            #[cfg(test)]
            let schema = self.broken.trust(schema, occupant);
            occupant.check(schema)?;
            self.seen_as = began;
            self.pinned = true;
        }
        Ok(())
    }

    /// Returns `true` if it has the login that the occupant requires.
    pub(super) fn is_logged_in_for(&self, occupant: &Occupant) -> bool {
        self.login.as_ref() == occupant.login.as_deref().map(Login::of)
    }

    pub(super) fn note_login(&mut self, of: &LoginOf) {
        self.login = Some(of.clone());
    }

    /// Drops the statements if some of them were prepared for other tenants.
    async fn drop_borrowed(&mut self) -> Result<()> {
        if self.borrowed { self.clear_statements().await } else { Ok(()) }
    }

    /// Returns `true` if the pin must be removed before the session is idle, because a drop waits
    /// for it.
    pub(super) fn must_be_unpinned(&self) -> bool {
        self.pinned && self.bound.as_ref().is_none_or(|bound| bound.is_always_pinned())
    }

    /// Returns `true` if it holds a pin that has been unused for a while.
    pub(super) fn is_pinned_in_vain(&self) -> bool {
        self.pinned && self.seen_as.elapsed() >= PINNED_IN_VAIN
    }

    /// Makes the next reset remove the pin.
    pub(super) fn unpin(&mut self) {
        self.pinned = false;
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
        self.wear.tables >= options.max_tables_per_connection
            || self.wear.served.len() >= options.max_tenants_per_connection
    }

    /// Counts tables that were read without a bind to their schema.
    pub(super) fn wear(&mut self, tables: usize) {
        self.wear.tables += tables;
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
            return Err(lost("the answer to a sign of life was lost"));
        };
        self.identity.compare(row.try_get(0)?)
    }

    /// Returns `true` if the open transaction has changed something, or has locked rows.
    pub(super) async fn has_changed(&mut self) -> Result<bool> {
        let sql =
            "select pg_catalog.pg_current_xact_id_if_assigned() is not null as tenantry_changed";
        let rows = self.conn.fetch_all(raw_sql(sql)).await?;
        row_with("tenantry_changed", &rows).map_or(Ok(false), |row| row.try_get(0))
    }

    /// Records when the server answered.
    pub(super) fn note_answer(&mut self, at: Time) {
        self.answered = Some(at);
    }

    /// Returns when the server last answered since the previous call.
    pub(super) fn take_answer(&mut self) -> Option<Time> {
        self.answered.take()
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
            code => self.borrowed && code.starts_with("42"),
        }
    }

    /// Records that a caller may have prepared statements on the connection.
    pub(super) fn note_handed_out(&mut self) {
        self.handed_out = true;
        self.odd_plans = true;
    }

    /// Records what may have happened to statements before the next [`bind`](Self::bind).
    pub(super) fn doubt(&mut self, doubt: Doubt) {
        let old = self.statements_since.elapsed() >= OLD;
        if doubt == Doubt::Failed || (doubt == Doubt::HandedOut && old) {
            self.statements = Statements::Doubtful;
            if let Some(bound) = &self.bound {
                bound.suspect_alike();
            }
        }
    }

    /// Drops every prepared statement, because one of them no longer matched.
    pub(crate) async fn forget_statements(&mut self) -> Result<()> {
        self.statements = Statements::Of(Alike::Unlike);
        if let Some(bound) = &self.bound {
            bound.suspect_alike();
        }
        self.clear_statements().await
    }

    async fn clear_statements(&mut self) -> Result<()> {
        self.borrowed = false;
        self.handed_out = false;
        self.statements_since = Instant::now();
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
    pub(super) async fn disconnect(self) {
        if within(CLOSE_TIMEOUT, self.close()).await.is_err() {
            tracing::debug!("a connection was closed without a goodbye");
        }
        sleep(LINGER).await;
    }

    /// Reads the remaining responses and ends a transaction that is still open.
    ///
    /// It has a separate timeout, because that may be shorter than a whole reset takes.
    async fn settle(&mut self) -> Result<()> {
        for sql in ["rollback", "reset statement_timeout"] {
            while let Err(error) = raw_sql(sql).execute(&mut self.conn).await {
                if !leaves_session_usable(&error) {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Sends the reset as one string and verifies its response.
    ///
    /// One of its statements returns an unpredictable number. If the message stream had slipped,
    /// for example through a `COPY` that was dropped midway, the row would be missing or a
    /// different one, and the connection is discarded.
    async fn reset_and_set(
        &mut self,
        to: &Occupant,
        (manner, reset, discard_plans): (Manner, Reset, bool),
        purpose: Purpose,
        pin: Pin,
    ) -> Result<Found> {
        let look = purpose != Purpose::Upkeep && to.needs_a_look();
        let (echo, checked) = (draw(), self.checks_clients);
        let idle_in_transaction = manner.idle_in_transaction;
        let is_upkeep = purpose == Purpose::Upkeep || to.id == OccupantId::Upkeep;
        let upkeep = is_upkeep.then(|| self.upkeep());
        let name = manner.name_tenants.then_some(&*self.name);
        let terms = Terms {
            reset,
            discard_plans,
            echo,
            checked,
            idle_in_transaction,
            upkeep,
            look,
            pin,
            name,
        };
        let began = Instant::now();
        let sql = bind_sql(to, terms);
        #[cfg(test)]
        let sql = manner.broken.break_sql(sql);
        if !sql.as_str().is_ascii() {
            // The server parses the whole string in the encoding that is set when it arrives, and
            // in the wrong one the name of a schema may become another.
            self.conn.execute(raw_sql("begin; rollback; reset client_encoding")).await?;
        }
        let rows = self.conn.fetch_all(raw_sql(sql)).await?;
        let answer = row_with("tenantry_echo", &rows);
        let echo: Option<i64> = answer.and_then(|row| row.try_get(0).ok());
        let (Some(row), true) = (answer, echo == Some(terms.echo)) else {
            return Err(lost("the answer to a reset was lost"));
        };
        let backend = row.try_get(1)?;
        self.identity.compare(backend)?;
        self.backend = Some(backend);
        let schema = match pin {
            Pin::AfterDrop => schema_in(row_with("tenantry_pinned", &rows))?,
            Pin::Yes | Pin::No => schema_of(row.try_get(6)?),
        };
        if look {
            note_look(to, &rows, began.elapsed())?;
        }
        let own_transaction: bool = row.try_get(5)?;
        if rows.iter().any(|row| row.is_empty()) {
            self.deallocate().await?;
        }
        if reset == Reset::Thorough {
            let kept: i64 = row.try_get(7)?;
            if i64::try_from(self.conn.cached_statements_size()).ok() != Some(kept) {
                // Statements were deallocated behind sqlx's back, or one was abandoned while it was
                // being prepared.
                self.clear_statements().await?;
                self.conn.execute(raw_sql("deallocate all")).await?;
            }
        }
        let in_transaction = reset == Reset::Plain && !own_transaction;
        Ok(Found { in_transaction, schema, looked: look })
    }

    fn upkeep(&self) -> Upkeep {
        let version = self.conn.server_version_num();
        let transaction_timeout =
            version.is_some_and(|version| version >= TRANSACTION_TIMEOUT_SINCE);
        Upkeep { transaction_timeout }
    }

    /// Drops statements that were prepared with SQL's `PREPARE`, which sqlx does not know.
    async fn deallocate(&mut self) -> Result<()> {
        let names = "select name from pg_catalog.pg_prepared_statement() where from_sql";
        let mut sql = Sql::default();
        for row in self.conn.fetch_all(raw_sql(names)).await? {
            let name = Ident::parse(row.try_get(0)?);
            let name = name.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            sql.text("deallocate ").ident(&name).text("; ");
        }
        self.conn.execute(raw_sql(sql.finish())).await.map(drop)
    }

    /// Keeps the prepared statements if the new occupant can use them, otherwise drops them.
    ///
    /// `same` is `true` if they were prepared for this occupant.
    async fn sort_out_statements(
        &mut self,
        to: &Occupant,
        manner: Manner,
        same: bool,
    ) -> Result<()> {
        let alike = match manner.keep {
            KeepStatements::WhenAlike => to.alike(),
            KeepStatements::Never => Alike::Unlike,
        };
        let usable = match (self.statements, alike) {
            (Statements::None, _) => true,
            // Settings decide how the text of a statement is parsed, and it is not parsed again.
            _ if self.handed_out && !same => false,
            (Statements::Of(Alike::Key(before)), Alike::Key(now)) => before == now,
            (Statements::Of(Alike::Unlike), Alike::Unlike) => same,
            _ => false,
        };
        #[cfg(test)]
        let usable = usable || manner.broken.keeps_statements;
        if usable {
            self.borrowed |= !same && self.statements != Statements::None;
        } else {
            self.clear_statements().await?;
        }
        #[cfg(test)]
        if manner.broken.keeps_statements {
            self.borrowed = false;
        }
        self.statements = Statements::Of(alike);
        Ok(())
    }
}

/// Returns the row that has a column of this name.
fn row_with<'r>(column: &str, rows: &'r [PgRow]) -> Option<&'r PgRow> {
    rows.iter().find(|row| row.try_column(column).is_ok())
}

/// Reads which schema has a name; there is no row if none has.
fn schema_in(row: Option<&PgRow>) -> Result<Schema> {
    row.map_or(Ok(Schema::Missing), |row| Ok(schema_of(row.try_get("tenantry_pinned")?)))
}

fn schema_of(oid: Option<Oid>) -> Schema {
    oid.map_or(Schema::Missing, |Oid(oid)| Schema::There(SchemaOid::new(oid)))
}

/// Records the result of an inspection of the schemas.
fn note_look(of: &Occupant, rows: &[PgRow], took: Duration) -> Result<()> {
    let Some(row) = row_with("tenantry_alike", rows) else {
        return Err(lost("the answer to a look at the schemas was lost"));
    };
    let (key, own_types): (i64, bool) = (row.try_get(0)?, row.try_get(1)?);
    let (tables, unruly): (i64, bool) = (row.try_get(2)?, row.try_get(3)?);
    if let Some(schema) = row.try_get::<Option<String>, _>(4)? {
        // The next bind inspects again.
        let role =
            of.binding.role.as_ref().map_or("the connection's role".into(), Ident::to_string);
        let attempted = format!(
            "{role} may not use the extension schema {schema}, and would find none of its operators: \
             grant usage on schema {schema} to it"
        );
        return Err(of.name(Error::new(ErrorKind::Config, attempted)).into());
    }
    if !of.binding.own().is_empty() {
        of.set_tables(u32::try_from(tables).unwrap_or(u32::MAX));
    }
    of.note_look(if own_types { Alike::Unlike } else { Alike::Key(key) }, unruly, took);
    Ok(())
}

/// Checks whether the server supports `client_connection_check_interval`: from version 14 on, and
/// only on platforms that report a disconnected client.
async fn checks_clients(conn: &mut PgConnection) -> Result<bool> {
    if conn.server_version_num().is_none_or(|version| version < CONNECTION_CHECK_SINCE) {
        return Ok(false);
    }
    accepts(conn, "set client_connection_check_interval to '1s'").await
}

/// Runs a statement that the server may refuse.
async fn accepts(conn: &mut PgConnection, sql: &'static str) -> Result<bool> {
    match conn.execute(raw_sql(sql)).await {
        Ok(_) => Ok(true),
        Err(error) if leaves_session_usable(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Corrects sqlx's error for a first response that it does not understand, or that was cut off
/// before its first byte: there was no server at the other end.
fn no_server(error: sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::Protocol(words) => {
            sqlx::Error::Io(io::Error::new(io::ErrorKind::ConnectionAborted, words))
        }
        error => error,
    }
}
