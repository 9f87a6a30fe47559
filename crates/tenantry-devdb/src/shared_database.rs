//! A database that all processes of a test run share.

use std::{
    fmt,
    future::Future,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use crate::{
    Error,
    admin::{Admin, Content},
    database_name::DatabaseName,
    host::Host,
};

/// The lock of the process that prepares one; another number than that of templates.
const LOCK: i64 = 0x7465_6e61_6e74_7274;

/// How long a database is kept after another key was requested: two sets of tests can alternate.
const OUTDATED: Duration = Duration::from_secs(60 * 60);

/// The start of the comment on a ready database; the time follows.
const READY: &str = "tenantry-devdb: ready";

/// A database that every process with the same scope and key shares: the tests of a binary, and the process per test
/// of `cargo nextest`.
///
/// In a throwaway server it is removed with the server. In the server of `DATABASE_URL` it stays until a process of
/// the same scope asks for another key, an hour or more later.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use sqlx::{Connection as _, Executor as _, PgConnection};
/// use tenantry_devdb::SharedDatabase;
///
/// const SQL: &str = "create table plans (name text)";
/// let database = SharedDatabase::prepare("billing", SQL, async |url: String| {
///     let mut connection = PgConnection::connect(&url).await?;
///     connection.execute(SQL).await?;
///     connection.close().await
/// })
/// .await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SharedDatabase {
    name: DatabaseName,
    url: String,
}

impl SharedDatabase {
    /// Finds the database of a scope and a key, or creates it and runs `setup`, which gets its URL.
    ///
    /// Only one process at a time prepares the database; the others wait for it. `scope` names the user of the
    /// database, for example a crate, and `key` identifies what `setup` does. Databases of the same scope and other
    /// keys that were prepared more than an hour ago are dropped along the way, unless a process is connected to
    /// them.
    ///
    /// # Errors
    ///
    /// As for [`DevDatabase::create`](crate::DevDatabase::create), and errors of `setup`. If the setup fails, the
    /// next caller prepares the database anew.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, the next caller prepares the database anew.
    pub async fn prepare<F, Fut, E>(scope: &str, key: &str, setup: F) -> Result<Self, Error>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::prepare_in(&Host::find().await?, scope, key, setup).await
    }

    /// Like [`prepare`](Self::prepare), in the server of this URL, regardless of `DATABASE_URL`.
    ///
    /// # Errors
    ///
    /// As for [`prepare`](Self::prepare), and if the URL is invalid. The error contains no part of the URL.
    ///
    /// # Cancel safety
    ///
    /// As [`prepare`](Self::prepare).
    pub async fn prepare_at<F, Fut, E>(
        server_url: &str,
        scope: &str,
        key: &str,
        setup: F,
    ) -> Result<Self, Error>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::prepare_in(&Host::named(server_url)?, scope, key, setup).await
    }

    /// Returns the database's URL; in a given server, it contains the password given there.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the database's name, which starts with `tenantry_test_`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    async fn prepare_in<F, Fut, E>(
        host: &Host,
        scope: &str,
        key: &str,
        setup: F,
    ) -> Result<Self, Error>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let name = DatabaseName::shared(scope, key);
        let database = Self { url: host.database_url(&name), name };
        let mut admin = host.admin().await?;
        let prepared = match is_ready(&mut admin, &database.name).await {
            Ok(false) => make(&mut admin, host, scope, &database, setup).await,
            other => other.map(drop),
        };
        admin.close().await;
        prepared.map(|()| database)
    }
}

/// Never shows the URL, which can contain a password.
impl fmt::Debug for SharedDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedDatabase").field("name", &self.name()).finish_non_exhaustive()
    }
}

async fn is_ready(admin: &mut Admin, name: &DatabaseName) -> Result<bool, Error> {
    let remark = admin.remark_of(name).await?;
    Ok(remark.is_some_and(|remark| remark.starts_with(READY)))
}

/// Drops databases of the scope that were prepared for other keys some time ago.
async fn drop_outdated(admin: &mut Admin, scope: &str) -> Result<(), Error> {
    let prefix = DatabaseName::shared_prefix(scope);
    for (name, remark) in admin.unused_with_prefix(&prefix).await? {
        let prepared = remark.strip_prefix(READY).and_then(|time| time.trim().parse().ok());
        if prepared.is_some_and(|at| now().saturating_sub(Duration::from_secs(at)) > OUTDATED) {
            // A client may have connected just now.
            let _ = admin.drop_unused_database(&name).await;
        }
    }
    Ok(())
}

/// The time since 1970 by this machine's clock.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

async fn make<F, Fut, E>(
    admin: &mut Admin,
    host: &Host,
    scope: &str,
    database: &SharedDatabase,
    setup: F,
) -> Result<(), Error>
where
    F: FnOnce(String) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let name = &database.name;
    admin.lock(LOCK).await?;
    if is_ready(admin, name).await? {
        return Ok(());
    }
    drop_outdated(admin, scope).await?;
    admin.drop_database(name).await?;
    let content = match host {
        Host::Shared(_) => Content::Empty,
        Host::Given(_) | Host::Named(_) => Content::ServerDefault,
    };
    admin.create_database(name, content).await?;
    setup(database.url.clone()).await.map_err(|error| Error::setup(error.into()))?;
    admin.remark(name, &format!("{READY} {}", now().as_secs())).await
}

/// Keeps the throwaway server that this process has joined running for a while after its last user, for inspection.
/// Returns `false` if this process has not joined one.
///
/// # Errors
///
/// If the program `sleep`, which acts as the user, cannot be started.
pub fn keep_server_up(duration: Duration) -> Result<bool, Error> {
    let Some(server) = crate::shared::SharedServer::joined() else { return Ok(false) };
    let mut command = Command::new("sleep");
    command.arg(duration.as_secs().to_string());
    command.stdin(server.hold()?).stdout(Stdio::null());
    command.stderr(Stdio::null());
    command.spawn().map(|_| true).map_err(Error::io("start sleep, which keeps the server up"))
}
