//! Separate logins of tenants and of maintenance.

use std::{fmt, future::ready, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use sqlx::postgres::PgConnectOptions;

use crate::{
    error::Error,
    tenant::{TenantId, TenantRecord},
};

/// Database user and password with which the connections of one tenant, or of maintenance, log in.
///
/// For [`ManagerBuilder::credentials`](crate::ManagerBuilder::credentials) and
/// [`upkeep_credentials`](crate::ManagerBuilder::upkeep_credentials). The password appears in no
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
    /// Creates credentials for this user, without a [password](Self::password), for servers that
    /// need none, such as with client certificates.
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

    /// Replaces the manager's own user and password completely.
    pub(super) fn log_in(&self, connect: &PgConnectOptions) -> PgConnectOptions {
        let connect = connect.clone().username(&self.user);
        // An empty password means none; leaving the field unset would keep the manager's.
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

/// The owner of a login that is not the manager's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoginOf {
    Tenant(TenantId),
    Upkeep,
}

/// How the connections of a tenant, or of maintenance, log in.
#[derive(Clone)]
pub(crate) struct Login {
    of: LoginOf,
    ask: Arc<dyn Fn() -> BoxFuture<'static, Result<Option<Credentials>, Error>> + Send + Sync>,
}

impl Login {
    pub(crate) fn tenants(record: TenantRecord, ask: AskForCredentials) -> Self {
        let of = LoginOf::Tenant(record.id.clone());
        Self { of, ask: Arc::new(move || ask(record.clone())) }
    }

    pub(crate) fn upkeeps(credentials: Credentials) -> Self {
        let ask = move || ready(Ok(Some(credentials.clone()))).boxed();
        Self { of: LoginOf::Upkeep, ask: Arc::new(ask) }
    }

    pub(super) fn of(&self) -> &LoginOf {
        &self.of
    }

    pub(super) async fn credentials(&self) -> Result<Option<Credentials>, Error> {
        (self.ask)().await
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("of", &self.of).finish_non_exhaustive()
    }
}
