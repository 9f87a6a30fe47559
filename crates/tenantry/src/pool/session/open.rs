//! Opens the connection of a session.

use std::{io, sync::Arc};

use sqlx::{Executor, PgConnection, raw_sql};
use tokio::time::Instant;

use super::{
    super::{
        backend::Backend,
        connector::Connector,
        credentials::Credentials,
        extensions::ExtensionSchemas,
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

impl Session {
    pub(in crate::pool) async fn open(
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
            bound: None,
            lacks_extensions,
            plain: None,
            login: None,
            statements: Statements::new(),
            odd_plans: false,
            backend: None,
            escapes: None,
            seen: now,
            checks_clients,
            touched: true,
            answered: None,
            round_trip,
            wear: Wear::default(),
            name: connector.options().get_application_name().unwrap_or_default().into(),
            held: Held::default(),
            #[cfg(test)]
            broken: super::super::broken::Broken::default(),
        })
    }
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
