use std::{collections::HashSet, sync::Arc, time::Duration};

use sqlx::{
    Connection, Executor, PgConnection, Row,
    postgres::{PgConnectOptions, PgDatabaseError, PgSeverity, PgTransactionManager},
    raw_sql,
};
use sqlx_core::transaction::TransactionManager;
use tokio::time::Instant;

use super::{
    PoolOptions,
    backend::Backend,
    occupant::{Alike, Occupant},
    pooling::{Identity, Separation},
    reset::{PREPARE_RESET, Reset, alike_sql, bind_sql},
    scheduler::Time,
};
use crate::{sql::Sql, tenant::Ident};

/// One connection to the server and what is known of its session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) conn: PgConnection,
    /// Who answers on it.
    pub(super) identity: Box<Identity>,
    /// Whose session it is. `None` until the first [`bind`](Self::bind) and while one is under way.
    bound: Option<Arc<Occupant>>,
    /// How often the occupant's tables had been changed then.
    bound_changes: u32,
    /// Whose statements are prepared on it.
    statements: Statements,
    /// Whether some of them were prepared for another occupant.
    borrowed: bool,
    /// When the first of them can have been prepared.
    statements_since: Instant,
    /// The process id of the backend, known after the first bind.
    pub(crate) backend: Option<i32>,
    /// When the session was last given back, or was opened.
    pub(crate) seen: Time,
    binds: u64,
    /// Whether the server can be told to look after clients that have gone.
    checks_clients: bool,
    /// Whether it was used in a way that only a thorough reset takes back.
    touched: bool,
    /// Whether the statement that a plain reset executes is there.
    reset_is_prepared: bool,
    /// When the server has last answered since the session was given back.
    answered: Option<Time>,
    wear: Wear,
}

/// What a session has served so far: the server's process keeps memory for all of it.
#[derive(Debug, Default)]
struct Wear {
    /// The serials of the occupants.
    served: HashSet<u64>,
    tables: usize,
}

/// What is in the cache of prepared statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statements {
    None,
    Of(Alike),
    /// One of them may not fit any more: they go at the next bind.
    Doubtful,
}

/// What may have happened to prepared statements while nobody but the user could see.
///
/// Errors on a connection that was handed out go to its user alone, the one of a statement that does
/// not fit its tables any more among them. If such statements stayed, it would come again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Nothing: every statement was seen to succeed.
    None,
    /// The connection was handed out, and nothing is known of what was done on it. The statements
    /// go when they are old, so that nobody has to prepare each of them every time.
    HandedOut,
    /// Something has failed.
    Failed,
}

/// How old statements have to be to go because a connection was handed out.
const OLD: Duration = Duration::from_secs(1);

/// What a reset has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Was {
    AsAssumed,
    /// A transaction was open where only plain queries had run; a plain reset does not end it.
    InTransaction,
}

/// Whether prepared statements may survive a change of tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepStatements {
    WhenAlike,
    Never,
}

/// `client_connection_check_interval` exists from this version on.
const CONNECTION_CHECK_SINCE: u32 = 14_00_00;

/// How soon the server ends a statement whose client has gone.
pub(super) const CONNECTION_CHECK_INTERVAL: Duration = Duration::from_secs(1);

type Result<T, E = sqlx::Error> = std::result::Result<T, E>;

impl Session {
    pub(super) async fn open(
        options: &PgConnectOptions,
        now: Time,
        separation: &Arc<Separation>,
    ) -> Result<Self> {
        let generation = separation.generation();
        let mut conn = PgConnection::connect_with(options).await?;
        let checks_clients = checks_clients(&mut conn).await?;
        // By itself: the server keeps the whole string that it comes in, and shows it to anybody.
        let reset_is_prepared = accepts(&mut conn, PREPARE_RESET).await?;
        // After the first `set`: some poolers keep the backend of a session that has changed something.
        let backend = Backend::ask(&mut conn).await?;
        let identity = Box::new(Identity::new(separation, generation, backend));
        Ok(Self {
            conn,
            identity,
            checks_clients,
            bound: None,
            bound_changes: 0,
            statements: Statements::None,
            borrowed: false,
            statements_since: Instant::now(),
            backend: None,
            seen: now,
            binds: 0,
            touched: true,
            reset_is_prepared,
            answered: None,
            wear: Wear::default(),
        })
    }

    pub(crate) fn is_bound_to(&self, occupant: &Arc<Occupant>) -> bool {
        self.bound.as_ref().is_some_and(|bound| Arc::ptr_eq(bound, occupant))
            && self.bound_changes == occupant.changes()
    }

    /// Makes the session the occupant's: everything that anybody left behind goes, then its search
    /// path, role and settings come. One round trip when statements may stay or there are none.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the session is bound to nobody; call again.
    pub(crate) async fn bind(&mut self, to: &Arc<Occupant>, keep: KeepStatements) -> Result<()> {
        let same = self.is_bound_to(to);
        let changes = to.changes();
        let bound = self.bound.take();
        if !same && bound.is_some_and(|bound| Arc::ptr_eq(&bound, to)) {
            // The tables were changed since: what was prepared for them may not fit any more.
            self.statements = Statements::Doubtful;
        }
        // Until the end of this, anything may be left half done.
        let touched = std::mem::replace(&mut self.touched, true);
        // A session that caches nothing may be one whose cache is turned off: sqlx then leaves every
        // statement behind, and only the thorough reset looks for them.
        let plain = !touched && self.reset_is_prepared && self.conn.cached_statements_size() > 0;
        let reset = if plain { Reset::Plain } else { Reset::Thorough };
        while self.conn.is_in_transaction() {
            // Takes sqlx's own count of open transactions down with the rollback.
            PgTransactionManager::start_rollback(&mut self.conn);
        }
        match self.reset_and_set(to, reset).await {
            Ok(Was::AsAssumed) => {}
            Err(error) if !leaves_session_usable(&error) => return Err(error),
            // A transaction is open after all, or what failed is the statement before, whose answer
            // nobody had read, or the reset itself inside a transaction that had failed.
            Ok(Was::InTransaction) | Err(_) => {
                self.settle().await?;
                self.reset_and_set(to, Reset::Thorough).await?;
            }
        }
        if !same || self.statements == Statements::Doubtful {
            self.sort_out_statements(to, keep).await?;
        }
        self.bound = Some(Arc::clone(to));
        self.bound_changes = changes;
        self.touched = false;
        if self.wear.served.insert(to.serial) {
            self.wear.tables += to.tables();
        }
        Ok(())
    }

    /// Notes that the session may carry what only a thorough reset takes off it.
    pub(super) fn touch(&mut self) {
        self.touched = true;
    }

    /// Says whether the server's process behind it has grown enough.
    pub(super) fn is_worn_out(&self, options: &PoolOptions) -> bool {
        self.wear.tables >= options.max_tables_per_connection
            || self.wear.served.len() >= options.max_tenants_per_connection
    }

    /// Counts tables that were read without being bound to their schema.
    pub(super) fn wear(&mut self, tables: usize) {
        self.wear.tables += tables;
    }

    /// Checks that the same server process still answers, in one round trip.
    pub(crate) async fn ping(&mut self) -> Result<()> {
        let who = "select pg_catalog.pg_backend_pid()";
        let rows = self.conn.fetch_all(raw_sql(who)).await?;
        let [row] = &rows[..] else {
            return Err(sqlx::Error::Protocol("the answer to a sign of life was lost".into()));
        };
        self.identity.compare(row.try_get(0)?)
    }

    /// Notes when the server has answered.
    pub(super) fn note_answer(&mut self, at: Time) {
        self.answered = Some(at);
    }

    /// Returns when the server has last answered since this was last asked.
    pub(super) fn take_answer(&mut self) -> Option<Time> {
        self.answered.take()
    }

    /// Says whether the error may come of a prepared statement that does not fit any more, and would
    /// not come again once [`forget_statements`](Self::forget_statements) has run.
    ///
    /// `0A000` has many causes; it is this one only when `RevalidateCachedQuery` raised it. Where
    /// statements were prepared for another tenant, any error of class 42 is in doubt: types of one
    /// name that the tenants' schemas have got since the last look are found by name only once.
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

    /// Notes what may have happened to statements before the next [`bind`](Self::bind).
    pub(super) fn doubt(&mut self, doubt: Doubt) {
        let old = self.statements_since.elapsed() >= OLD;
        if doubt == Doubt::Failed || (doubt == Doubt::HandedOut && old) {
            self.statements = Statements::Doubtful;
            if let Some(bound) = &self.bound {
                bound.doubt_alike();
            }
        }
    }

    /// Drops every prepared statement, because one of them was found not to fit any more.
    pub(crate) async fn forget_statements(&mut self) -> Result<()> {
        self.statements = Statements::Of(Alike::Unlike);
        if let Some(bound) = &self.bound {
            bound.doubt_alike();
        }
        self.clear_statements().await
    }

    async fn clear_statements(&mut self) -> Result<()> {
        self.borrowed = false;
        self.statements_since = Instant::now();
        self.conn.clear_cached_statements().await
    }

    /// Says goodbye to the server and closes the socket.
    pub(crate) async fn close(self) -> Result<()> {
        let Self { conn, identity, .. } = self;
        // Before the goodbye: a pooler in session mode then gives the backend to another client.
        drop(identity);
        conn.close().await
    }

    /// Reads what is left of earlier answers and ends a transaction that is still open.
    ///
    /// The timeout goes on its own, because it may be shorter than a whole reset takes.
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

    /// Sends the reset as one string and checks that the answer is the answer to it.
    ///
    /// One of its statements returns a number that was never used before on this session. If the
    /// stream of messages had slipped, by a `COPY` that was dropped in the middle for example, the
    /// row would be another one or missing, and the connection is given up.
    async fn reset_and_set(&mut self, to: &Occupant, reset: Reset) -> Result<Was> {
        self.binds += 1;
        let sql = bind_sql(to, reset, self.binds, self.checks_clients);
        if !sql.as_str().is_ascii() {
            // The server reads the whole string in the encoding that is set when it comes, and in
            // the wrong one the name of a schema may be that of another.
            self.conn.execute(raw_sql("begin; rollback; reset client_encoding")).await?;
        }
        let rows = self.conn.fetch_all(raw_sql(sql)).await?;
        let answer = rows.iter().find(|row| row.try_column("tenantry_echo").is_ok());
        let echo: Option<i64> = answer.and_then(|row| row.try_get(0).ok());
        let (Some(row), true) = (answer, echo == i64::try_from(self.binds).ok()) else {
            return Err(sqlx::Error::Protocol("the answer to a reset was lost".into()));
        };
        let backend = row.try_get(1)?;
        self.identity.compare(backend)?;
        self.backend = Some(backend);
        if row.try_get(2)? {
            self.deallocate().await?;
        }
        let assumed: bool = row.try_get(3)?;
        if reset == Reset::Plain {
            return Ok(if assumed { Was::AsAssumed } else { Was::InTransaction });
        }
        self.reset_is_prepared = assumed;
        if i64::try_from(self.conn.cached_statements_size()).ok() != Some(row.try_get(4)?) {
            // Statements were deallocated behind sqlx's back, or one was abandoned while it was
            // being prepared.
            self.clear_statements().await?;
            self.conn.execute(raw_sql("deallocate all")).await?;
            self.reset_is_prepared = false;
        }
        Ok(Was::AsAssumed)
    }

    /// Drops statements that were prepared with SQL's `PREPARE`; sqlx does not know of them.
    async fn deallocate(&mut self) -> Result<()> {
        let names = "select name from pg_catalog.pg_prepared_statements \
                     where from_sql and name <> 'tenantry_reset'";
        let mut sql = Sql::default();
        for row in self.conn.fetch_all(raw_sql(names)).await? {
            let name = Ident::parse(row.try_get(0)?);
            let name = name.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            sql.text("deallocate ").ident(&name).text("; ");
        }
        self.conn.execute(raw_sql(sql.finish())).await.map(drop)
    }

    /// Keeps the prepared statements if the new occupant can use them, drops them if not.
    async fn sort_out_statements(&mut self, to: &Occupant, keep: KeepStatements) -> Result<()> {
        let alike = match keep {
            KeepStatements::WhenAlike => self.alike_of(to).await?,
            KeepStatements::Never => Alike::Unlike,
        };
        let usable = match (self.statements, alike) {
            (Statements::None, _) => true,
            (Statements::Of(Alike::Key(before)), Alike::Key(now)) => before == now,
            _ => false,
        };
        if usable {
            self.borrowed |= self.statements != Statements::None;
        } else {
            self.clear_statements().await?;
        }
        self.statements = Statements::Of(alike);
        Ok(())
    }

    async fn alike_of(&mut self, occupant: &Occupant) -> Result<Alike> {
        let known = occupant.alike();
        if known != Alike::Unknown {
            return Ok(known);
        }
        let row = self.conn.fetch_one(raw_sql(alike_sql(occupant.binding.own()))).await?;
        let (key, own_types, tables): (i64, bool, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        occupant.set_tables(u32::try_from(tables).unwrap_or(u32::MAX));
        let alike = if own_types { Alike::Unlike } else { Alike::Key(key) };
        occupant.set_alike(alike);
        Ok(alike)
    }
}

/// Finds out whether the server has `client_connection_check_interval`: from version 14 on, and only
/// where its platform tells it that a client has gone.
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

/// Says whether the connection can go on after this error.
pub(crate) fn leaves_session_usable(error: &sqlx::Error) -> bool {
    use sqlx::Error as E;
    match error {
        E::Database(error) => error.try_downcast_ref::<PgDatabaseError>().is_some_and(|error| {
            !matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)
        }),
        E::RowNotFound
        | E::TypeNotFound { .. }
        | E::ColumnIndexOutOfBounds { .. }
        | E::ColumnNotFound(_)
        | E::ColumnDecode { .. }
        | E::Encode(_)
        | E::Decode(_)
        | E::InvalidArgument(_)
        | E::InvalidSavePointStatement => true,
        _ => false,
    }
}
