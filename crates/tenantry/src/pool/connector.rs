//! How connections to the server are opened: with which options, credentials and hook.

use std::{error::Error as StdError, fmt, panic::AssertUnwindSafe, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::credentials::Credentials;
use crate::error::{Error, ErrorKind};

/// Asks for the credentials of the next connection.
pub(crate) type AskAtConnect = Arc<
    dyn Fn() -> BoxFuture<'static, Result<Credentials, Box<dyn StdError + Send + Sync>>>
        + Send
        + Sync,
>;

/// Prepares a connection that was opened.
pub(crate) type AfterConnect =
    Arc<dyn for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<()>> + Send + Sync>;

/// Opens the connections of a manager.
#[derive(Clone)]
pub(crate) struct Connector {
    options: PgConnectOptions,
    credentials: Option<AskAtConnect>,
    after_connect: Option<AfterConnect>,
}

impl Connector {
    pub(crate) fn new(options: PgConnectOptions) -> Self {
        Self { options, credentials: None, after_connect: None }
    }

    pub(crate) fn asking(self, credentials: Option<AskAtConnect>) -> Self {
        Self { credentials, ..self }
    }

    pub(crate) fn preparing(self, after_connect: Option<AfterConnect>) -> Self {
        Self { after_connect, ..self }
    }

    /// Returns the options as they were configured.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Returns the options for one connection, with fresh credentials. `login` takes their place.
    ///
    /// # Errors
    ///
    /// An own [`Error`] when the credentials cannot be had.
    pub(crate) async fn fresh_options(
        &self,
        login: Option<&Credentials>,
    ) -> sqlx::Result<PgConnectOptions> {
        let asked = match (login, &self.credentials) {
            (Some(login), _) => return Ok(login.log_in(&self.options)),
            (None, None) => return Ok(self.options.clone()),
            (None, Some(ask)) => AssertUnwindSafe(async { ask().await }).catch_unwind().await,
        };
        let attempted = "asking for the credentials of a connection";
        match asked {
            Ok(Ok(credentials)) => Ok(credentials.log_in(&self.options)),
            Ok(Err(error)) => Err(Error::new(ErrorKind::Unavailable, attempted).with_source(error)),
            Err(_) => Err(Error::new(ErrorKind::Hook, "connect_credentials panicked")),
        }
        .map_err(Into::into)
    }

    pub(super) async fn connect(&self, login: Option<&Credentials>) -> sqlx::Result<PgConnection> {
        PgConnection::connect_with(&self.fresh_options(login).await?).await
    }

    /// Runs the application's hook on a connection that was opened.
    ///
    /// # Errors
    ///
    /// An own [`Error`] when the hook fails or panics; its own words are the source.
    pub(super) async fn prepare(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let Some(hook) = &self.after_connect else {
            return Ok(());
        };
        run_hook("after_connect", async { hook(conn).await }).await?;
        // What it has prepared was read under settings that the first bind takes off.
        conn.clear_cached_statements().await
    }
}

/// Runs a hook that has a connection in hand, and names it when it fails or panics.
pub(super) async fn run_hook(
    name: &'static str,
    hook: impl Future<Output = sqlx::Result<()>>,
) -> Result<(), Error> {
    match AssertUnwindSafe(hook).catch_unwind().await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Error::new(ErrorKind::Hook, name).with_source(error)),
        Err(_) => Err(Error::new(ErrorKind::Hook, format!("{name} panicked"))),
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the options: they hold the password.
        f.debug_struct("Connector")
            .field("credentials", &self.credentials.is_some())
            .field("after_connect", &self.after_connect.is_some())
            .finish_non_exhaustive()
    }
}
