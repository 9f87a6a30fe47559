//! Logins of tenants that have one.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;

use crate::{
    error::Error,
    tenant::{TenantId, TenantRecord},
};

/// A user of the database and its password, with which the connections of one tenant log in.
///
/// For [`ManagerBuilder::credentials`](crate::ManagerBuilder::credentials). The password is in no
/// `Debug` output, error or log.
///
/// # Examples
///
/// ```
/// use tenantry::Credentials;
///
/// let credentials = Credentials::new("acme_login").password("correct horse battery staple");
/// assert!(!format!("{credentials:?}").contains("horse"));
/// ```
#[derive(Clone)]
#[must_use = "credentials do nothing until a connection is opened with them"]
pub struct Credentials {
    user: String,
    password: Option<String>,
}

impl Credentials {
    /// Logs in as this user. Without a [password](Self::password), for servers that ask for none,
    /// such as with certificates.
    pub fn new(user: impl Into<String>) -> Self {
        Self { user: user.into(), password: None }
    }

    /// Sets the password.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Returns the user.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Puts them in the place of the manager's own: neither its user nor its password is left.
    pub(super) fn log_in(&self, connect: &PgConnectOptions) -> PgConnectOptions {
        let connect = connect.clone().username(&self.user);
        // An empty password is no password: what is not overwritten would be the manager's.
        connect.password(self.password.as_deref().unwrap_or_default())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Asks for the credentials of a tenant.
pub(crate) type AskForCredentials = Arc<
    dyn Fn(TenantRecord) -> BoxFuture<'static, Result<Option<Credentials>, Error>> + Send + Sync,
>;

/// How the connections of one tenant log in.
#[derive(Clone)]
pub(crate) struct Login {
    record: TenantRecord,
    ask: AskForCredentials,
}

impl Login {
    pub(crate) fn new(record: TenantRecord, ask: AskForCredentials) -> Self {
        Self { record, ask }
    }

    pub(super) fn tenant(&self) -> &TenantId {
        &self.record.id
    }

    pub(super) async fn credentials(&self) -> Result<Option<Credentials>, Error> {
        (self.ask)(self.record.clone()).await
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("tenant", &self.record.id).finish_non_exhaustive()
    }
}
