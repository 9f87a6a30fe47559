//! Looks up separate logins.

use tokio::time::timeout;

use super::{
    credentials::{Credentials, Login},
    privileges::Grantee,
    server::Server,
};
use crate::{
    error::{Error, ErrorKind},
    tenant::Ident,
};

impl Server {
    /// Asks for a tenant's credentials, within the connect timeout.
    pub(super) async fn credentials(&self, login: &Login) -> Result<Option<Credentials>, Error> {
        let limit = self.options.connect_timeout;
        timeout(limit, login.credentials()).await.unwrap_or_else(|_| {
            let attempted = format!("waited {limit:?} for the credentials");
            Err(Error::new(ErrorKind::Unavailable, attempted))
        })
    }

    /// Returns the manager's role, if maintenance uses another one: the manager does not own what
    /// maintenance creates.
    pub(crate) fn role_of_manager(&self) -> Option<&Ident> {
        self.manager.as_ref()
    }

    /// Looks up the role of a grantee. `None` if it is the maintenance role itself.
    pub(crate) async fn role_of(&self, grantee: &Grantee) -> Result<Option<Ident>, Error> {
        let login = match grantee {
            Grantee::Role(role) => return Ok(Some(role.clone())),
            Grantee::Login(login) => login,
        };
        match self.credentials(login).await? {
            Some(credentials) => Ident::parse(credentials.user()).map(Some).map_err(|error| {
                Error::new(ErrorKind::Config, "the tenant's own credentials").with_source(error)
            }),
            // The manager's login is used.
            None => Ok(self.manager.clone()),
        }
    }
}
