use std::{fmt, fs, io, path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use sqlx::SqlStr;

use crate::{
    db::{SharedDb, TenantDb, TenantTransaction},
    migrate::Lint,
    sql::operators_file,
};

/// An error of a seed, whatever it is.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Something to fill a schema with: a closure, or a file of SQL.
///
/// A seed has a name, under which a schema records that it has it, in a table `_tenantry_seeds` of its
/// own; it is run there once, unless it is [repeatable](Self::repeatable). By default it runs in a
/// transaction, together with the note that it was run.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) -> Result<(), Box<dyn std::error::Error>> {
/// use tenantry::seed::{Seed, SeedOptions};
///
/// let roles = Seed::new("roles", |tx| Box::pin(async move {
///     sqlx::query("insert into roles (name) values ('admin'), ('member')").execute(&mut **tx).await?;
///     Ok(())
/// }));
/// let report = manager.seeder().seed_all(&roles, SeedOptions::default()).await?;
/// assert!(report.is_success(), "{report}");
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "a seed does nothing until it is run"]
pub struct Seed {
    pub(super) name: Arc<str>,
    pub(super) what: What,
    pub(super) repeat: Repeat,
}

/// How often a seed is run in a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Once,
    EveryTime,
}

type InTransaction =
    dyn for<'t> Fn(&'t mut TenantTransaction) -> BoxFuture<'t, Result<(), BoxError>> + Send + Sync;
type OnTenant = dyn Fn(TenantDb) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync;
type OnShared = dyn Fn(SharedDb) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync;

/// What is run.
#[derive(Clone)]
pub(super) enum What {
    InTransaction(Arc<InTransaction>),
    Tenant(Arc<OnTenant>),
    Shared(Arc<OnShared>),
    Sql { sql: SqlStr, lint: Lint },
}

impl Seed {
    /// Makes a seed of a closure that runs in a transaction: what it does lasts when it returns `Ok`, and
    /// not otherwise.
    ///
    /// The session is bound to the tenant's schema, or to the shared one, with the role of the connection.
    /// [`TenantTransaction::tenant`] says whose it is.
    ///
    /// After a deadlock, a serialization failure or a race with another session on a shared object, the
    /// transaction is rolled back and the closure is called again, up to five times.
    pub fn new<F>(name: impl Into<Arc<str>>, run: F) -> Self
    where
        F: for<'t> Fn(&'t mut TenantTransaction) -> BoxFuture<'t, Result<(), BoxError>>
            + Send
            + Sync
            + 'static,
    {
        Self::of(name, What::InTransaction(Arc::new(run)))
    }

    /// Makes a seed of a closure that gets the tenant's database and runs without a transaction: for many
    /// rows, or when it waits for something else in between. What it has done before it fails stays, so
    /// let it be such that it can be run again.
    ///
    /// It cannot seed a suspended tenant, nor the shared schema.
    pub fn with_db<F, R, E>(name: impl Into<Arc<str>>, run: F) -> Self
    where
        F: Fn(TenantDb) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let run = move |db| -> BoxFuture<'static, Result<(), BoxError>> {
            let running = run(db);
            Box::pin(async move { running.await.map_err(Into::into) })
        };
        Self::of(name, What::Tenant(Arc::new(run)))
    }

    /// Makes a seed of a closure that gets the shared schema and runs without a transaction. It seeds the
    /// shared schema alone.
    pub fn with_shared<F, R, E>(name: impl Into<Arc<str>>, run: F) -> Self
    where
        F: Fn(SharedDb) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let run = move |db| -> BoxFuture<'static, Result<(), BoxError>> {
            let running = run(db);
            Box::pin(async move { running.await.map_err(Into::into) })
        };
        Self::of(name, What::Shared(Arc::new(run)))
    }

    /// Makes a seed of SQL in the program, of any number of statements, which run in a transaction.
    pub fn sql(name: impl Into<Arc<str>>, sql: &'static str) -> Self {
        Self::of(name, What::Sql { sql: SqlStr::from_static(sql), lint: Lint::default() })
    }

    /// Reads a file of SQL, whose name without its ending is the name of the seed. It runs in a
    /// transaction, and what must not be in a migration must not be in it.
    ///
    /// It reads with the functions of the standard library, which block: call it while the program
    /// starts.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not UTF-8, or has no name.
    pub fn from_file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| io::Error::other("the file has no name"))?;
        let sql = operators_file(fs::read_to_string(path)?);
        Ok(Self::of(name, What::Sql { sql, lint: Lint::default() }))
    }

    /// Sets what the SQL may name. Default: nothing outside the tenant's own schema. A closure is not
    /// looked into.
    pub fn lint(mut self, allowed: Lint) -> Self {
        if let What::Sql { lint, .. } = &mut self.what {
            *lint = allowed;
        }
        self
    }

    /// Has the seed run every time instead of once, and nothing recorded.
    pub fn repeatable(mut self) -> Self {
        self.repeat = Repeat::EveryTime;
        self
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says whether it runs without a transaction.
    pub(crate) fn runs_outside(&self) -> bool {
        matches!(self.what, What::Tenant(_) | What::Shared(_))
    }

    fn of(name: impl Into<Arc<str>>, what: What) -> Self {
        Self { name: name.into(), what, repeat: Repeat::Once }
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed").field("name", &self.name).field("repeat", &self.repeat).finish()
    }
}
