//! Databases that are created in advance.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::join_all};
use serde::Serialize;
use tokio::time::{Instant, timeout};

use super::{Provisioner, StoredName, elsewhere::home_of};
use crate::{
    error::Error,
    error_report::ErrorReport,
    event::serialize_millis,
    fleet::while_alive,
    tenant::{Ident, MAIN},
};

/// How many spare databases there should be, and where.
///
/// # Examples
///
/// ```
/// use tenantry::provision::DatabaseSpares;
///
/// // Two on the main server, and one on the further server `eu-1`.
/// let spares = DatabaseSpares::new(2).on("eu-1", 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it does nothing until a provisioner gets it"]
pub struct DatabaseSpares {
    wanted: BTreeMap<Arc<str>, usize>,
    template: Option<Ident>,
}

impl DatabaseSpares {
    /// Asks for this many spares on the main server. With 0, half-made ones and those of former releases are removed
    /// there, and none is made.
    pub fn new(spares: usize) -> Self {
        Self { wanted: BTreeMap::from([(MAIN.into(), spares)]), template: None }
    }

    /// Asks for this many spares on a server, by its name in the manager's configuration. Default: a further server has
    /// none.
    pub fn on(mut self, server: impl Into<Arc<str>>, spares: usize) -> Self {
        self.wanted.insert(server.into(), spares);
        self
    }

    /// Sets the database that spares are copied from. Default: `template1`, which is PostgreSQL's default.
    ///
    /// Only creations with the same
    /// [`CreateOptions::database_template`](super::CreateOptions::database_template) take such a spare. It has the
    /// template's contents of the time when it was made.
    pub fn template(mut self, name: Ident) -> Self {
        self.template = Some(name);
        self
    }
}

/// Result of filling the spare databases: every server that was asked for, in the order of their names.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it says on which servers there are too few spares"]
pub struct DatabaseSparesReport {
    /// The servers.
    pub servers: Vec<SparesOnServer>,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// The spare databases of a server.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SparesOnServer {
    /// The server; `main` is the manager's own.
    pub server: Arc<str>,
    /// Spares of these files that are ready now.
    pub ready: usize,
    /// Spares among these that were created now.
    pub made: usize,
    /// Databases that were removed: half made, or spares of other files that were not used for 24 h.
    pub removed: usize,
    /// Why there are no spares: the places where the migrations store the name of their database. Tenants are then
    /// created without a spare. Empty otherwise.
    pub refused: Vec<StoredName>,
    /// Why there are fewer than were asked for, if something failed.
    #[serde(serialize_with = "as_text", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub error: Option<Arc<Error>>,
}

impl Provisioner {
    /// Ensures that this many spare databases are ready on each server: databases with all migrations, for tenants in a
    /// [database](crate::Isolation::database) of their own, which [`create`](Self::create) only needs to rename, open
    /// and seed.
    ///
    /// A spare belongs to the database in the URL of its server, so other services on the server do not take it. It
    /// accepts no connections. Spares of other files are left alone, because another release can be running alongside this
    /// one; those that were not used for 24 h are removed, as are half-made ones. A creation takes a spare of an earlier
    /// release if there is none of its own files, and runs the missing files. If another instance is filling the same
    /// spares, nothing is done.
    ///
    /// It takes up to two connections of each server's budget. Call it at startup, after a deploy, and at least every
    /// few hours; or let [`keep_database_spares`](Self::keep_database_spares) do that. An empty database takes about
    /// 8 MB.
    ///
    /// The first spare is searched for the name that it has as a spare, in its catalogs and rows. If the migrations
    /// store it, spares are refused, and reported as such.
    ///
    /// The report has every server that was asked for; a failure on one does not affect the others.
    ///
    /// # Errors
    ///
    /// [`Migration`](crate::ErrorKind::Migration) if the files do not pass the lint. Everything else is an
    /// [`error`](SparesOnServer::error) of a server: [`Placement`](crate::ErrorKind::Placement) if it is unknown or
    /// draining, [`PermissionDenied`](crate::ErrorKind::PermissionDenied) if the role cannot create databases, and
    /// those of [`create`](Self::create).
    ///
    /// # Cancel safety
    ///
    /// If dropped, a spare can be left half made; the next call removes it.
    pub async fn fill_database_spares(
        &self,
        spares: &DatabaseSpares,
    ) -> Result<DatabaseSparesReport, Error> {
        let began = Instant::now();
        self.lint()?;
        let servers = spares.wanted.iter().map(|(server, wanted)| async move {
            let mut report = SparesOnServer::new(server);
            let filled = self.fill_on(*wanted, spares.template.as_ref(), &mut report).boxed();
            report.error = filled.await.err().map(Arc::new);
            report
        });
        let servers = join_all(servers).await;
        Ok(DatabaseSparesReport { servers, duration: began.elapsed() })
    }

    async fn fill_on(
        &self,
        wanted: usize,
        template: Option<&Ident>,
        report: &mut SparesOnServer,
    ) -> Result<(), Error> {
        if wanted > 0 {
            self.check_server(&report.server)?;
        }
        let there = self.at(&home_of(&report.server));
        let filled = there.fill_databases(wanted, template, report).boxed();
        while_alive(&there.fleet, filled).await
    }

    /// Keeps this many spare databases ready until the manager is closed: fills them immediately, whenever this
    /// provisioner or a clone of it uses one, and at this interval.
    ///
    /// Runs as a background task that [`TenantManager::close`](crate::TenantManager::close) stops. Failures are
    /// logged, and retried at the next interval.
    pub fn keep_database_spares(&self, spares: DatabaseSpares, every: Duration) {
        let (provisioner, server) = (self.clone(), self.fleet.server());
        let shutdown = server.shutdown().clone();
        server.start();
        server.spawn(async move {
            let keep = async {
                loop {
                    match provisioner.fill_database_spares(&spares).await {
                        Ok(report) => report.warn(),
                        Err(error) => warn(MAIN, &error),
                    }
                    let claimed = provisioner.known_databases().claimed.notified();
                    // The next sign-up should find a spare, too.
                    drop(timeout(every, claimed).await);
                }
            };
            shutdown.run_until_cancelled(keep).await;
        });
    }
}

impl DatabaseSparesReport {
    /// Returns `true` if nothing failed on any server.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.servers.iter().all(|on| on.error.is_none())
    }

    fn warn(&self) {
        for on in &self.servers {
            if let Some(error) = &on.error {
                warn(&on.server, error);
            }
        }
    }
}

fn warn(server: &str, error: &Error) {
    tracing::warn!(
        target: "tenantry::provision",
        server,
        error = error as &dyn std::error::Error,
        "could not fill the spare databases"
    );
}

impl SparesOnServer {
    fn new(server: &Arc<str>) -> Self {
        let server = Arc::clone(server);
        Self { server, ready: 0, made: 0, removed: 0, refused: Vec::new(), error: None }
    }
}

impl fmt::Display for DatabaseSparesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.servers.iter().try_for_each(|on| writeln!(f, "{on}"))?;
        write!(f, "in {:.1?}", self.duration)
    }
}

impl fmt::Display for SparesOnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, ready, made, removed, refused, error } = self;
        let spares = if *ready == 1 { "spare" } else { "spares" };
        write!(f, "server {server}: {ready} {spares} ready, {made} made; {removed} removed")?;
        if let Some(error) = error {
            write!(f, "\nfailed: {}", ErrorReport::new(&**error))?;
        }
        refused
            .iter()
            .try_for_each(|name| write!(f, "\nno spares: {name} stores the name of its database"))
    }
}

fn as_text<S: serde::Serializer>(
    error: &Option<Arc<Error>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match error {
        Some(error) => serializer.collect_str(&ErrorReport::new(&**error)),
        None => serializer.serialize_none(),
    }
}
