use std::{fmt, fs, io, path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use sqlx::SqlStr;

use crate::{
    db::{SharedDb, TenantDb, TenantTransaction},
    migrate::Lint,
    sql::operators_file,
};

/// Any error of a seed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Initial data for a schema: a closure, or a SQL file.
///
/// A schema records a seed by its name, in a separate table `_tenantry_seeds`; a seed runs once per schema, unless it
/// is [repeatable](Self::repeatable). By default it runs in a transaction together with its record.
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

/// What a seed runs.
#[derive(Clone)]
pub(super) enum What {
    InTransaction(Arc<InTransaction>),
    Tenant(Arc<OnTenant>),
    Shared(Arc<OnShared>),
    Sql { sql: SqlStr, lint: Lint },
}

impl Seed {
    /// Creates a seed from a closure that runs in a transaction, which is committed if the closure returns `Ok` and
    /// rolled back otherwise.
    ///
    /// The session is bound to the tenant's schema, or to the shared one, with the role of the connection.
    /// [`TenantTransaction::tenant`] returns the tenant.
    ///
    /// After a deadlock, a serialization failure or a race with another session on a shared object, the transaction
    /// is rolled back and the closure is called again, up to five times.
    pub fn new<F>(name: impl Into<Arc<str>>, run: F) -> Self
    where
        F: for<'t> Fn(&'t mut TenantTransaction) -> BoxFuture<'t, Result<(), BoxError>>
            + Send
            + Sync
            + 'static,
    {
        Self::of(name, What::InTransaction(Arc::new(run)))
    }

    /// Creates a seed from a closure that gets the tenant's database and runs outside a transaction: for many rows,
    /// or if it waits for other systems in between. If it fails, its changes stay, so make it idempotent.
    ///
    /// It can seed neither a suspended tenant nor the shared schema.
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

    /// Creates a seed from a closure that gets the shared schema and runs outside a transaction. It only works for
    /// the shared schema.
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

    /// Creates a seed from SQL in the program. It can have any number of statements, which run in a transaction.
    pub fn sql(name: impl Into<Arc<str>>, sql: &'static str) -> Self {
        Self::of(name, What::Sql { sql: SqlStr::from_static(sql), lint: Lint::default() })
    }

    /// Reads a SQL file. The file name without its extension becomes the name of the seed. It runs in a transaction,
    /// and the statements that are forbidden in a migration are forbidden in it, too.
    ///
    /// It reads with the blocking functions of the standard library: call it at startup.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not UTF-8, or has no name.
    pub fn from_file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| io::Error::other("the file has no name"))?;
        let sql = operators_file(fs::read_to_string(path)?);
        Ok(Self::of(name, What::Sql { sql, lint: Lint::default() }))
    }

    /// Sets the lint options for the SQL. Default: only names in the tenant's own schema. Closures are not checked.
    pub fn lint(mut self, allowed: Lint) -> Self {
        if let What::Sql { lint, .. } = &mut self.what {
            *lint = allowed;
        }
        self
    }

    /// Runs the seed every time instead of once, without recording it.
    pub fn repeatable(mut self) -> Self {
        self.repeat = Repeat::EveryTime;
        self
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns `true` if it runs outside a transaction.
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
