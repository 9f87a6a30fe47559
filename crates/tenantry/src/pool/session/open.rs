//! Opens the connection of a session.

use std::{io, sync::Arc};

use sqlx::{Executor, PgConnection, raw_sql};
use tokio::time::Instant;

use super::{
    super::{
        backend::{Backend, FirstAnswer},
        connector::{Connector, LogInAs},
        extensions::ExtensionSchemas,
        fleeting::{Fleeting, examine},
        holder::Held,
        pooling::{Identity, Separation},
        scheduler::Time,
        session_error::leaves_session_usable,
    },
    Result, Session,
    statements::Statements,
    wear::Wear,
};

/// The first version with `client_connection_check_interval`.
const CONNECTION_CHECK_SINCE: u32 = 14_00_00;

/// Also makes some poolers keep the process of a session that has changed something.
const CHECK_CLIENTS: &str = "set client_connection_check_interval to '1s'";

impl Session {
    pub(in crate::pool) async fn open(
        connector: &Connector,
        log_in: LogInAs<'_>,
        now: Time,
        separation: &Arc<Separation>,
        extensions: &ExtensionSchemas,
    ) -> Result<Self> {
        let generation = separation.generation();
        let began = Instant::now();
        let mut conn = connector.connect(log_in).await.map_err(no_server)?;
        let opened_in = began.elapsed();
        let fleeting = match connector.by_transaction {
            true => Some(Box::new(Fleeting::new(examine(&mut conn).await?))),
            false => None,
        };
        let is_fleeting = fleeting.is_some();
        // One whose database a tenant waits for is bound at once, and asked in the same message.
        // A hook could exchange the connection before that.
        let is_plain = log_in.home.is_some() && connector.after_connect.is_none();
        let known = separation.checks_clients().filter(|_| is_plain);
        // A transaction tells which process it has; what was set before it is lost.
        let known = if is_fleeting { Some(false) } else { known };
        let asked = Instant::now();
        let acquainted = match known {
            Some(checks_clients) => Acquainted { first: None, checks_clients },
            None => get_acquainted(&mut conn).await?,
        };
        let round_trip = known.is_none().then(|| asked.elapsed());
        let lacks_extensions = !extensions.missing(&mut conn).await?.is_empty();
        connector.prepare(&mut conn).await?;
        let mut session = Self {
            conn,
            fleeting,
            identity: Box::new(Identity::new(separation, generation, now)),
            is_unasked: known.is_some() && !is_fleeting,
            bound: None,
            lacks_extensions,
            plain: None,
            login: None,
            home: log_in.home.cloned().map(Box::new),
            database: None,
            statements: Statements::new(),
            odd_plans: false,
            backend: None,
            escapes: None,
            seen: now,
            checks_clients: false,
            touched: !is_fleeting,
            answered: None,
            round_trip,
            replayed: None,
            is_heard: false,
            opened_in,
            wear: Wear::default(),
            name: connector.options().get_application_name().unwrap_or_default().into(),
            held: Held::default(),
            #[cfg(test)]
            broken: super::super::broken::Broken::default(),
        };
        session.note(acquainted)?;
        Ok(session)
    }

    /// Asks the backend who it is, unless it has been asked.
    pub(super) async fn ask_who(&mut self) -> Result<()> {
        if self.is_unasked {
            let acquainted = get_acquainted(&mut self.conn).await?;
            self.is_unasked = false;
            self.note(acquainted)?;
        }
        Ok(())
    }

    fn note(&mut self, acquainted: Acquainted) -> Result<()> {
        self.checks_clients = acquainted.checks_clients;
        if let Some(first) = acquainted.first {
            self.note_first(first)?;
            self.identity.note_checks_clients(acquainted.checks_clients);
        }
        Ok(())
    }

    /// Records what the backend has said about itself.
    pub(super) fn note_first(&mut self, first: FirstAnswer) -> Result<()> {
        // A ping may have been answered before.
        self.identity.compare(first.backend.pid)?;
        self.identity.note_backend(first.backend, first.in_recovery);
        self.is_unasked = false;
        self.database = first.database;
        Ok(())
    }

    /// Returns the `server_version_num` of its server, such as 170002.
    pub(in crate::pool) fn server_version(&self) -> Option<u32> {
        self.conn.server_version_num()
    }
}

/// What a new connection has answered.
struct Acquainted {
    first: Option<FirstAnswer>,
    /// `true` if the server supports `client_connection_check_interval`: from version 14 on, and only
    /// on platforms that report a disconnected client.
    checks_clients: bool,
}

/// Asks a server process who it is. One round trip, unless the server refuses a part.
async fn get_acquainted(conn: &mut PgConnection) -> Result<Acquainted> {
    if conn.server_version_num() < Some(CONNECTION_CHECK_SINCE) {
        return Ok(Acquainted {
            first: Backend::ask_first(conn, "").await?,
            checks_clients: false,
        });
    }
    let first = Backend::ask_first(conn, CHECK_CLIENTS).await?;
    if first.is_some() {
        return Ok(Acquainted { first, checks_clients: true });
    }
    let checks_clients = accepts(conn, CHECK_CLIENTS).await?;
    Ok(Acquainted { first: Backend::ask_first(conn, "").await?, checks_clients })
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
