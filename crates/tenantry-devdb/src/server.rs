//! A dedicated server.

use std::{fmt, path::PathBuf, sync::Arc};

use crate::{
    Error, Version,
    account::Account,
    admin::{self, Admin, Content},
    blocking::blocking,
    cluster::{self, Cluster, Stop},
    database_name::DatabaseName,
    installation,
    runtime_dir::RuntimeDir,
    settings::Settings,
    watchdog::{Linger, Watchdog},
};

/// A PostgreSQL server that runs until this value is dropped.
///
/// Use it for tests that stop, freeze or configure a server; if a database is enough,
/// [`DevDatabase`](crate::DevDatabase) is faster, because it uses a shared server. `DATABASE_URL` is ignored: the
/// server is private.
///
/// The superuser is `postgres`, without a password, over a free loopback port and over a Unix socket in
/// [`socket_dir`](Self::socket_dir). Nothing is forced to disk unless a [setting](DevServerBuilder::setting) enables
/// it.
///
/// Dropping it stops the server and removes its files, which blocks for about a tenth of a second;
/// [`close`](Self::close) does the same without blocking. If the process dies for any reason, a watchdog does it.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tenantry_devdb::DevServer;
///
/// let server = DevServer::builder().setting("max_connections", "20").start().await?;
/// let url = server.create_database("app").await?;
/// // … connect to `url` …
/// server.restart().await?;
/// # Ok(()) }
/// ```
pub struct DevServer {
    cluster: Arc<Cluster>,
}

impl DevServer {
    /// Starts a server with the default settings.
    ///
    /// # Errors
    ///
    /// If this machine has no server binaries (and the feature `download` is off or could not download any), or they
    /// do not run; the message says what to do.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, the start is completed and undone in the background.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// Returns a builder for a server with custom settings.
    pub fn builder() -> DevServerBuilder {
        DevServerBuilder { settings: Settings::default() }
    }

    /// Returns the URL of the database `postgres`, over the loopback port.
    #[must_use]
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// Returns the URL of a database, over the loopback port.
    #[must_use]
    pub fn database_url(&self, name: &str) -> String {
        admin::loopback_url(self.port(), name)
    }

    /// Creates an empty database and returns its URL.
    ///
    /// # Errors
    ///
    /// If the name contains characters other than `a-z`, `0-9` and `_`, the database exists already, or the server is
    /// stopped.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, the database may or may not have been created.
    pub async fn create_database(&self, name: &str) -> Result<String, Error> {
        let name = DatabaseName::parse(name)?;
        let mut admin = Admin::connect(&self.url()).await?;
        let result = admin.create_database(&name, Content::Empty).await;
        admin.close().await;
        result.map(|()| self.database_url(name.as_str()))
    }

    /// Returns the loopback port, which does not change on a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.cluster.port()
    }

    /// Returns the folder of the Unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> PathBuf {
        self.cluster.home().to_owned()
    }

    /// Returns the data folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.cluster.data()
    }

    /// Returns the server's version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.cluster.binaries().version
    }

    /// Returns the process id of the postmaster, `None` while the server is stopped.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        cluster::postmaster(self.cluster.home())
    }

    /// Returns the last 50 lines of the server's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        cluster::last_lines(&self.cluster.log(), 50)
    }

    /// Stops the server, ending every session, and starts it again with the same port and data.
    ///
    /// # Errors
    ///
    /// If the server does not stop or does not start again; the message contains the end of its log.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, it continues in the background.
    pub async fn restart(&self) -> Result<(), Error> {
        let cluster = Arc::clone(&self.cluster);
        blocking(move || {
            cluster.stop(Stop::Fast)?;
            cluster.start()
        })
        .await
    }

    /// Stops the server as a crash would (`immediate` shutdown): sessions end abruptly and the next start runs
    /// recovery.
    ///
    /// Committed data is kept, because the operating system itself does not crash. Does nothing if the server is
    /// stopped.
    ///
    /// # Errors
    ///
    /// If the server does not stop.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, it continues in the background.
    pub async fn stop_now(&self) -> Result<(), Error> {
        let cluster = Arc::clone(&self.cluster);
        blocking(move || cluster.stop(Stop::Immediate)).await
    }

    /// Starts the server again after [`stop_now`](Self::stop_now), with the same port and data.
    ///
    /// # Errors
    ///
    /// If the server is already running or does not start; the message contains the end of its log.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, it continues in the background.
    pub async fn start_again(&self) -> Result<(), Error> {
        let cluster = Arc::clone(&self.cluster);
        blocking(move || cluster.start()).await
    }

    /// Stops the server and removes its files, like dropping, but without blocking the runtime.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, it continues in the background.
    pub async fn close(self) {
        // The closure cannot fail; an error can only be a panic inside it, which was already reported.
        let _ = blocking(move || {
            drop(self);
            Ok(())
        })
        .await;
    }
}

impl fmt::Debug for DevServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevServer")
            .field("version", &self.version())
            .field("port", &self.port())
            .field("data_dir", &self.data_dir())
            .finish_non_exhaustive()
    }
}

/// Builder for a [`DevServer`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `start`"]
pub struct DevServerBuilder {
    settings: Settings,
}

impl DevServerBuilder {
    /// Sets one line of `postgresql.conf`, for example `max_connections` or `fsync`.
    ///
    /// The defaults are fast, and only safe for throwaway data: `fsync` and `full_page_writes` are off, `wal_level`
    /// is minimal, `max_connections` is 300. Port, addresses and socket folder are chosen by the crate.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.set(name.into(), value.into());
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    ///
    /// As for [`DevServer::start`], and if the server does not know a setting.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, the start is completed and undone in the background.
    pub async fn start(self) -> Result<DevServer, Error> {
        let binaries = installation::find().await?;
        blocking(move || {
            let account = Account::for_server()?;
            let dir = RuntimeDir::open(&account)?;
            let lock = dir.lock()?;
            lock.clean_up(&account, &binaries)?;
            let home = lock.new_home("p-", &account)?;
            let pg_ctl = binaries.program("pg_ctl");
            let watchdog = Watchdog::start(&account, &home, &pg_ctl, Linger::Not)?;
            drop(lock);
            Cluster::create(account, binaries, home, watchdog, &self.settings)
                .map(|cluster| DevServer { cluster: Arc::new(cluster) })
        })
        .await
    }
}
