//! A dedicated database.

use std::{fmt, future::Future, thread, time::Duration};

use crate::{
    Error, abandoned,
    admin::{self, Admin, Content},
    database_name::DatabaseName,
    host::Host,
    template,
};

/// The timeout for dropping a database.
const PATIENCE: Duration = Duration::from_secs(20);

/// A fresh database that exists until this value is dropped.
///
/// It is created in the server that `DATABASE_URL` names, or else in a throwaway server that all processes of a test
/// run share and that stops some seconds after the last of them. See the [crate's documentation](crate) for where
/// that server comes from.
///
/// Dropping it drops the database and ends all sessions in it, which blocks for some milliseconds;
/// [`close`](Self::close) does the same without blocking.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tenantry_devdb::DevDatabase;
///
/// let database = DevDatabase::from_template("create table users (id int primary key)").await?;
/// // … connect to `database.url()` …
/// database.close().await?;
/// # Ok(()) }
/// ```
#[must_use = "the database is dropped with this value"]
pub struct DevDatabase {
    name: DatabaseName,
    url: String,
    admin_url: String,
    is_dropped: bool,
}

impl DevDatabase {
    /// Creates an empty database.
    ///
    /// # Errors
    ///
    /// If no server is available, in which case the message says what to do; or if the server named by `DATABASE_URL`
    /// does not allow creating a database.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, no database is left, or the next process to start here drops it.
    pub async fn create() -> Result<Self, Error> {
        let host = Host::find().await?;
        Self::create_in(&host, host.empty()).await
    }

    /// Creates an empty database in the server of this URL, regardless of `DATABASE_URL`.
    ///
    /// The new database's URL has the same user, password and parameters; the role must be allowed to create
    /// databases. Databases that dead processes of this machine have left there are dropped along the way.
    ///
    /// # Errors
    ///
    /// If the URL is invalid, the server cannot be reached, or it does not allow creating a database. The error
    /// contains no part of the URL.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, no database is left, or the next process to start here drops it.
    pub async fn create_at(server_url: &str) -> Result<Self, Error> {
        let host = Host::named(server_url)?;
        Self::create_in(&host, host.empty()).await
    }

    /// Creates schemas in it if they do not exist. Any name is allowed.
    ///
    /// # Errors
    ///
    /// If the server refuses, for example because a name is reserved.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, either all of them are created or none.
    pub async fn create_schemas<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<(), Error> {
        let quoted = names.into_iter().map(|name| name.as_ref().replace('"', "\"\""));
        let sql = quoted.map(|name| format!("create schema if not exists \"{name}\"; "));
        admin::run_script(self.url.clone(), sql.collect()).await
    }

    /// Runs SQL in it, with any number of statements, in one transaction.
    ///
    /// # Errors
    ///
    /// The error of the SQL.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, either everything is done or nothing.
    pub async fn run_script(&self, sql: &str) -> Result<(), Error> {
        admin::run_script(self.url.clone(), sql.to_owned()).await
    }

    /// Creates a database in which `setup_sql` has been run.
    ///
    /// In a shared throwaway server, the SQL (any number of statements in one transaction) runs once for all tests
    /// and processes: it creates a template, and every database is a copy of it. In the server named by
    /// `DATABASE_URL` it runs for each database, so that no template is left behind there.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create), and errors of the SQL.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, no database is left, or the next process to start here drops it.
    pub async fn from_template(setup_sql: &str) -> Result<Self, Error> {
        let sql = setup_sql.to_owned();
        Self::from_setup(("sql", setup_sql), |url| admin::run_script(url, sql)).await
    }

    /// Creates a database in which `setup` has been run; `setup` gets the database's URL.
    ///
    /// Like [`from_template`](Self::from_template), for setups that are easier to write in Rust. `key` identifies
    /// what `setup` does: databases with equal keys are copies of one template, for some seconds even across runs.
    /// Change it whenever the setup changes, for example by using the setup's text as the key.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), tenantry_devdb::Error> {
    /// use sqlx::{Connection as _, Executor as _, PgConnection};
    /// use tenantry_devdb::DevDatabase;
    ///
    /// const SQL: &str = "create table users (id int primary key)";
    /// let database = DevDatabase::from_template_with(SQL, async |url: String| {
    ///     let mut connection = PgConnection::connect(&url).await?;
    ///     connection.execute(SQL).await?;
    ///     connection.close().await
    /// })
    /// .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create), and errors of `setup`.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, no database is left, or the next process to start here drops it.
    pub async fn from_template_with<F, Fut, E>(key: &str, setup: F) -> Result<Self, Error>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let setup = async |url| setup(url).await.map_err(|error| Error::setup(error.into()));
        Self::from_setup(("code", key), setup).await
    }

    /// Returns the database's URL; with `DATABASE_URL`, it contains the password given there.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the database's name, `tenantry_dev_` and a unique suffix.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Drops the database and ends all sessions in it.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached or refuses.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, the database is dropped together with this value.
    pub async fn close(mut self) -> Result<(), Error> {
        drop_database(&self.admin_url, &self.name).await?;
        self.is_dropped = true;
        Ok(())
    }

    async fn from_setup<F, Fut>(key: (&str, &str), setup: F) -> Result<Self, Error>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Result<(), Error>>,
    {
        let host = Host::find().await?;
        if let Host::Given(_) = host {
            let database = Self::create_in(&host, host.empty()).await?;
            setup(database.url.clone()).await?;
            return Ok(database);
        }
        let template = DatabaseName::template(key);
        let mut admin = host.admin().await?;
        template::ensure(&mut admin, &host, &template, setup).await?;
        Self::create_by(admin, &host, Content::Template(&template)).await
    }

    async fn create_in(host: &Host, content: Content<'_>) -> Result<Self, Error> {
        Self::create_by(host.admin().await?, host, content).await
    }

    async fn create_by(mut admin: Admin, host: &Host, content: Content<'_>) -> Result<Self, Error> {
        abandoned::drop_all(&mut admin).await?;
        let name = DatabaseName::unique();
        // Created before the database itself, so that a cancelled or failed creation is undone as well.
        let database = Self {
            url: host.database_url(&name),
            admin_url: host.admin_url(),
            name,
            is_dropped: false,
        };
        admin.create_database(&database.name, content).await?;
        abandoned::mark(&mut admin, &database.name).await?;
        admin.close().await;
        Ok(database)
    }
}

/// Never shows the URL, which can contain a password.
impl fmt::Debug for DevDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevDatabase").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Drop for DevDatabase {
    fn drop(&mut self) {
        if self.is_dropped {
            return;
        }
        let (url, name) = (self.admin_url.clone(), self.name.clone());
        // A separate thread, because a runtime cannot block inside another one.
        let result = thread::spawn(move || drop_blocking(&url, &name)).join();
        if let Ok(Err(error)) = result {
            // There is no caller to return the error to, and a panic here would hide the test's own.
            eprintln!("tenantry-devdb: {error:?}");
        }
    }
}

fn drop_blocking(url: &str, name: &DatabaseName) -> Result<(), Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("create a runtime to drop a database"))?
        .block_on(drop_database(url, name))
}

async fn drop_database(url: &str, name: &DatabaseName) -> Result<(), Error> {
    let dropping = async {
        let mut admin = Admin::connect(url).await?;
        let result = admin.drop_database(name).await;
        admin.close().await;
        result
    };
    tokio::time::timeout(PATIENCE, dropping).await.unwrap_or_else(|_| {
        Err(Error::failed(format!("dropping database {name}"), "the server does not answer"))
    })
}
