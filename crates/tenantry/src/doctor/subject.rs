use std::{sync::Arc, time::Duration};

use tokio::sync::OnceCell;

use super::{
    homes::{Homes, Sample},
    on_server::{Facts, OnServer},
};
use crate::{
    db::SharedDb,
    error::{Error, ErrorKind},
    fleet::Fleet,
    manager::TenantManager,
    migrate::Migrations,
    tenant::TenantRecord,
};

/// The context that a [`Check`](super::Check) runs in.
#[derive(Debug)]
pub struct Subject {
    pub(super) manager: TenantManager,
    pub(super) migrations: Option<Migrations>,
    pub(super) shared_migrations: Option<Migrations>,
    pub(super) instances: usize,
    /// The version of the server, once it has responded.
    pub(super) reached: Result<ServerVersion, Error>,
    pub(super) tenants: Result<Arc<[TenantRecord]>, Error>,
    /// What is known of each server, the main one first.
    pub(super) servers: Vec<Facts>,
    pub(super) check_timeout: Duration,
    pub(super) sample: Sample,
    pub(super) homes: OnceCell<Homes>,
    /// `true` if a check of this run reports which servers are away.
    pub(super) tells_away: bool,
}

/// The version of a server, as it reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerVersion {
    /// Such as `17.2`.
    pub name: String,
    /// `server_version_num`, such as 170002.
    pub number: i32,
}

impl ServerVersion {
    /// Returns the major version, such as 17.
    #[must_use]
    pub fn major(&self) -> i32 {
        self.number / 10_000
    }
}

impl Subject {
    /// Returns the manager.
    #[must_use]
    pub fn manager(&self) -> &TenantManager {
        &self.manager
    }

    /// Returns all tenants, including suspended ones. They are listed once for all checks.
    ///
    /// # Errors
    ///
    /// The error of listing the tenants.
    pub fn tenants(&self) -> Result<&[TenantRecord], &Error> {
        self.tenants.as_ref().map(|tenants| &**tenants)
    }

    /// Returns the migrations of the tenants' schemas, if they are known.
    #[must_use]
    pub fn migrations(&self) -> Option<&Migrations> {
        self.migrations.as_ref()
    }

    /// Returns the migrations of the shared schema, if they are known.
    #[must_use]
    pub fn shared_migrations(&self) -> Option<&Migrations> {
        self.shared_migrations.as_ref()
    }

    /// Returns how many processes share the server, each with the same budget as the manager. At least 1.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.instances
    }

    /// Returns the version of the server.
    ///
    /// # Errors
    ///
    /// The error of connecting to the server. Checks that need the database are not run then.
    pub fn server_version(&self) -> Result<&ServerVersion, &Error> {
        self.reached.as_ref()
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        self.manager.fleet()
    }

    /// Returns all servers, the main one first.
    pub(super) fn on_servers(&self) -> impl Iterator<Item = OnServer<'_>> {
        self.servers.iter().map(|facts| OnServer::new(self, facts))
    }

    /// Returns the databases to examine, chosen once for all checks.
    pub(super) async fn homes(&self) -> &Homes {
        let tenants = self.tenants().unwrap_or_default();
        let find = || Homes::find(self.fleet(), tenants, self.sample, self.check_timeout);
        self.homes.get_or_init(find).await
    }

    /// Queries the version of a server.
    pub(super) async fn reach(system: &SharedDb) -> Result<ServerVersion, Error> {
        let asked = sqlx::query_as(VERSION).persistent(false).fetch_one(system).await;
        let (name, number): (String, String) = asked?;
        let name = name.split_whitespace().next().unwrap_or_default().to_owned();
        let number = number.parse().map_err(|_| {
            Error::new(ErrorKind::Database, "the server does not report its version")
        })?;
        Ok(ServerVersion { name, number })
    }
}

const VERSION: &str = "\
    select pg_catalog.current_setting('server_version'), \
      pg_catalog.current_setting('server_version_num')";
