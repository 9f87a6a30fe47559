//! A server that checks examine, and what is read of it once for all of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::postgres::PgConnectOptions;
use tokio::sync::OnceCell;

use super::{
    ServerVersion, Subject,
    server::{Relations, Settings},
};
use crate::{
    db::SharedDb,
    error::Error,
    fleet::Fleet,
    pool::Server,
    tenant::{Home, TenantRecord},
};

/// What is known of a server. The first check that needs something reads it.
#[derive(Debug)]
pub(super) struct Facts {
    /// Maintenance in the database of the server's URL.
    fleet: Fleet,
    system: SharedDb,
    version: OnceCell<ServerVersion>,
    settings: OnceCell<Settings>,
    relations: OnceCell<Relations>,
    /// `true` once it has stopped answering during the run.
    lost: AtomicBool,
}

/// A server that a check examines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnServer<'a> {
    subject: &'a Subject,
    facts: &'a Facts,
}

impl Facts {
    pub(super) fn new(fleet: &Fleet, home: &Home) -> Self {
        let fleet = fleet.at(home);
        Self {
            system: fleet.system_here(),
            fleet,
            version: OnceCell::new(),
            settings: OnceCell::new(),
            relations: OnceCell::new(),
            lost: AtomicBool::new(false),
        }
    }
}

impl<'a> OnServer<'a> {
    pub(super) fn new(subject: &'a Subject, facts: &'a Facts) -> Self {
        Self { subject, facts }
    }

    /// Returns the name of the server.
    pub(super) fn name(self) -> &'a str {
        self.facts.fleet.server().name()
    }

    /// Returns the fleet, with maintenance on this server.
    pub(crate) fn fleet(self) -> &'a Fleet {
        &self.facts.fleet
    }

    /// Returns what the library's own statements on this server run on.
    pub(crate) fn system(self) -> &'a SharedDb {
        &self.facts.system
    }

    pub(crate) fn server(self) -> &'a Arc<Server> {
        self.facts.fleet.server()
    }

    /// Returns the connect options, including the password.
    pub(crate) fn connect_options(self) -> &'a PgConnectOptions {
        self.server().connector().options()
    }

    /// Returns why the server could not be reached at the start, which only the main one is asked then.
    pub(crate) fn unreached(self) -> Option<&'a Error> {
        self.subject.server_version().err().filter(|_| self.facts.fleet.is_on_main())
    }

    /// Returns the version of the server.
    pub(crate) async fn version(self) -> Result<&'a ServerVersion, Error> {
        if self.facts.fleet.is_on_main() {
            return self.subject.server_version().map_err(Error::again);
        }
        self.facts.version.get_or_try_init(|| Subject::reach(self.system())).await
    }

    /// Returns settings of the server.
    pub(crate) async fn settings(self) -> Result<&'a Settings, Error> {
        self.facts.settings.get_or_try_init(|| Settings::read(self.system())).await
    }

    /// Returns the number of relations of the tenants in the database of the server's URL. `None` if tenants cannot
    /// be listed.
    pub(crate) async fn relations(self) -> Result<Option<&'a Relations>, Error> {
        let Ok(tenants) = self.subject.tenants() else { return Ok(None) };
        let here = tenants.iter().filter(|record| self.has(record));
        let counted = self.facts.relations.get_or_try_init(|| Relations::read(self, here));
        counted.await.map(Some)
    }

    /// Returns `true` if the tenant is in the database of the server's URL.
    pub(crate) fn has(self, record: &TenantRecord) -> bool {
        self.fleet().home_of(record).is_ok_and(|home| home == *self.fleet().home())
    }

    /// Returns all tenants, on every server.
    pub(crate) fn tenants(self) -> Result<&'a [TenantRecord], &'a Error> {
        self.subject.tenants()
    }

    /// Returns how many tenants of this server may be served.
    pub(crate) fn active_tenants(self) -> Result<usize, &'a Error> {
        let is_here = |record: &TenantRecord| {
            self.fleet().home_of(record).is_ok_and(|home| home.server() == self.name())
        };
        let active = |record: &&TenantRecord| record.state.is_served() && is_here(record);
        Ok(self.tenants()?.iter().filter(active).count())
    }

    /// Returns how many processes share the server.
    pub(crate) fn instances(self) -> usize {
        self.subject.instances()
    }

    /// Returns `true` if the server stopped answering during an earlier check.
    pub(super) fn is_lost(self) -> bool {
        self.facts.lost.load(Ordering::Relaxed)
    }

    /// Finds out whether a server on which a check took too long still answers. Later checks pass over one that does
    /// not.
    pub(super) async fn has_stopped(self, limit: Duration) -> bool {
        let is_lost = self.is_lost() || self.fleet().why_away(limit).await.is_some();
        self.facts.lost.fetch_or(is_lost, Ordering::Relaxed);
        is_lost
    }
}
