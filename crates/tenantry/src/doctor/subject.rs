use std::{sync::Arc, time::Duration};

use tokio::sync::OnceCell;

use super::{
    homes::{Homes, Sample},
    server::{Relations, Settings},
};
use crate::{
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
    /// Read when the first check needs them.
    pub(super) settings: OnceCell<Settings>,
    pub(super) relations: OnceCell<Relations>,
    pub(super) check_timeout: Duration,
    pub(super) sample: Sample,
    pub(super) homes: OnceCell<Homes>,
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

    /// Returns settings of the server, read once for all checks.
    pub(crate) async fn settings(&self) -> Result<&Settings, Error> {
        self.settings.get_or_try_init(|| Settings::read(self.fleet())).await
    }

    /// Returns the number of relations of the tenants, counted once for all checks. `None` if tenants cannot be
    /// listed.
    pub(crate) async fn relations(&self) -> Result<Option<&Relations>, Error> {
        let Ok(tenants) = self.tenants() else { return Ok(None) };
        let counted = self.relations.get_or_try_init(|| Relations::read(self.fleet(), tenants));
        counted.await.map(Some)
    }

    /// Returns the databases to examine, chosen once for all checks.
    pub(super) async fn homes(&self) -> &Homes {
        let tenants = self.tenants().unwrap_or_default();
        let find = || Homes::find(self.fleet(), tenants, self.sample, self.check_timeout);
        self.homes.get_or_init(find).await
    }

    /// Queries the version of the server.
    pub(super) async fn reach(fleet: &Fleet) -> Result<ServerVersion, Error> {
        let asked = sqlx::query_as(VERSION).persistent(false).fetch_one(fleet.system()).await;
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
